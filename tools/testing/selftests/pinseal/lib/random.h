/* SPDX-License-Identifier: GPL-2.0-only */
/* Random numbers that depend on a seed and their purpose alone, so that runs repeat. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

/* Spreads every bit of @x over all of the result (the finalizer of splitmix64). */
static inline uint64_t random_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9;
	x ^= x >> 27;
	x *= 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* random_for() - the sequence of thread @thread for step @step of round @round. */
static inline struct random random_for(uint64_t seed, uint64_t round, uint64_t thread,
				       uint64_t step)
{
	uint64_t state = random_mix(seed + 1);

	state = random_mix(state + round);
	state = random_mix(state + thread);
	return (struct random){ random_mix(state + step) };
}

static inline uint64_t random_bits(struct random *r)
{
	r->state += 0x9e3779b97f4a7c15;
	return random_mix(r->state);
}

/* random_below() - from 0 to @n - 1; 0 if @n is 0. */
static inline uint64_t random_below(struct random *r, uint64_t n)
{
	uint64_t bits = random_bits(r);

	return n ? bits % n : 0;
}

/* once_in() - true once in @n times. */
static inline bool once_in(struct random *r, unsigned int n)
{
	return !random_below(r, n);
}

/* one_of() - one of the given values. */
#define one_of(r, ...) ({							\
	static const uint64_t __values[] = { __VA_ARGS__ };			\
										\
	__values[random_below(r, sizeof(__values) / sizeof(__values[0]))];	\
})

#endif /* RANDOM_H */
