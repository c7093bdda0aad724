// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin of QEMU that counts what a CPU executes between two marks (marks.h): instructions, and
 * distinct cache lines of code and of data.
 *
 *   qemu-system-... -plugin count.so,out=FILE
 *
 * FILE gets a line "INSTRUCTIONS CODE DATA" for each pair of marks, in the order of their ends. A mark
 * concerns the virtual CPU that executes it. What interrupts the kernel in between does not count: on
 * a busy host, more timer interrupts fall into the same operation.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "marks.h"
#include "qemu_plugin.h"

/* Bytes of a cache line, as a power of two. */
#define LINE_SHIFT	6
#define MAX_CPUS	8
/* Of a set of lines; a power of two. */
#define SLOTS		(1U << 20)

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

/* A set of cache lines. A slot is in use if it is of this generation: so the set is emptied at once. */
struct lines {
	unsigned int n;
	uint32_t generation;
	struct {
		uint64_t line;
		uint32_t generation;
	} slots[SLOTS];
};

static void lines_empty(struct lines *l)
{
	l->n = 0;
	l->generation++;
}

static void lines_add(struct lines *l, uint64_t address)
{
	uint64_t line = address >> LINE_SHIFT;
	unsigned int at = line * 0x9e3779b97f4a7c15ULL >> 44;

	for (; l->slots[at].generation == l->generation; at = (at + 1) % SLOTS) {
		if (l->slots[at].line == line)
			return;
	}
	if (++l->n == SLOTS / 2) {
		fprintf(stderr, "count: more than %u cache lines between two marks\n", l->n);
		exit(1);
	}
	l->slots[at].line = line;
	l->slots[at].generation = l->generation;
}

/*
 * After so many instructions of the kernel, an entry into it from user space has come to the one that
 * tells of it.
 */
#define ENTRY_LENGTH	16

/* What a virtual CPU has executed since its mark, while it counts. */
static struct counts {
	bool is_counting;
	/* Interrupts and exceptions of the kernel that have not returned. */
	unsigned int interrupts;
	/* Instructions of the kernel since the last one of user space. */
	uint64_t in_kernel;
	uint64_t instructions;
	struct lines code, data;
} *counts_of[MAX_CPUS];

/* Whether it counts, for translated code, which looks at the scoreboard. */
struct element {
	uint64_t is_counting;
};

static struct qemu_plugin_scoreboard *score;

static FILE *out;
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;

static void set_counting(unsigned int cpu, bool is_counting)
{
	struct element *element = qemu_plugin_scoreboard_find(score, cpu);

	counts_of[cpu]->is_counting = is_counting;
	element->is_counting = is_counting;
}

static void begin(unsigned int cpu, void *data)
{
	struct counts *c;

	if (cpu >= MAX_CPUS) {
		fprintf(stderr, "count: a mark on CPU %u\n", cpu);
		exit(1);
	}
	if (!counts_of[cpu])
		counts_of[cpu] = calloc(1, sizeof(*c));
	c = counts_of[cpu];
	if (!c)
		abort();
	c->instructions = 0;
	c->interrupts = 0;
	c->in_kernel = 0;
	lines_empty(&c->code);
	lines_empty(&c->data);
	set_counting(cpu, true);
}

static void end(unsigned int cpu, void *data)
{
	struct counts *c = cpu < MAX_CPUS ? counts_of[cpu] : NULL;

	if (!c || !c->is_counting)
		return;
	set_counting(cpu, false);
	pthread_mutex_lock(&out_lock);
	fprintf(out, "%llu %u %u\n", (unsigned long long)c->instructions, c->code.n, c->data.n);
	fflush(out);
	pthread_mutex_unlock(&out_lock);
}

static void executed(unsigned int cpu, void *address)
{
	struct counts *c = counts_of[cpu];

	if (c->interrupts)
		return;
	/* Of the kernel are the upper halves of both architectures. */
	c->in_kernel = (intptr_t)address < 0 ? c->in_kernel + 1 : 0;
	c->instructions++;
	lines_add(&c->code, (uintptr_t)address);
}

/* An instruction that only entries into the kernel have. */
static void entered(unsigned int cpu, void *address)
{
	struct counts *c = counts_of[cpu];

	if (c->interrupts || c->in_kernel > ENTRY_LENGTH)
		c->interrupts++;
	else
		executed(cpu, address);
}

/* An instruction that returns from an interrupt. */
static void returned(unsigned int cpu, void *address)
{
	struct counts *c = counts_of[cpu];

	if (c->interrupts)
		c->interrupts--;
	else
		executed(cpu, address);
}

static void accessed(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
	struct counts *c = cpu < MAX_CPUS ? counts_of[cpu] : NULL;

	if (c && c->is_counting && !c->interrupts)
		lines_add(&c->data, address);
}

/* Instructions that are looked for, and what is called for them. */
static const struct known {
	const char *code;
	size_t size;
	qemu_plugin_vcpu_udata_cb_t called;
	bool is_mark;
} *known;

#define KNOWN(code, called, is_mark)	{ code, sizeof(code) - 1, called, is_mark }

static const struct known known_x86[] = {
	KNOWN(X86_BEGIN, begin, true),
	KNOWN(X86_END, end, true),
	KNOWN("\xfc", entered, false),			/* cld */
	KNOWN("\x48\xcf", returned, false),		/* iretq */
	{ NULL },
};

static const struct known known_arm64[] = {
	KNOWN(ARM64_BEGIN, begin, true),
	KNOWN(ARM64_END, end, true),
	KNOWN("\xff\x63\x20\x8b", entered, false),	/* add sp, sp, x0: of all vectors */
	KNOWN("\xe0\x03\x9f\xd6", returned, false),	/* eret */
	{ NULL },
};

static const struct known *find_known(const struct qemu_plugin_insn *insn)
{
	unsigned char code[16];
	size_t size = qemu_plugin_insn_data(insn, code, sizeof(code));
	const struct known *k;

	for (k = known; k->code; k++) {
		if (size == k->size && !memcmp(code, k->code, size))
			return k;
	}
	return NULL;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	qemu_plugin_u64 is_counting = {
		.score = score, .offset = offsetof(struct element, is_counting),
	};
	size_t n = qemu_plugin_tb_n_insns(tb), i;

	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		void *address = (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn);
		const struct known *k = find_known(insn);

		if (k && k->is_mark) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, k->called, QEMU_PLUGIN_CB_NO_REGS,
							       NULL);
			continue;
		}
		qemu_plugin_register_vcpu_insn_exec_cond_cb(insn, k ? k->called : executed,
							    QEMU_PLUGIN_CB_NO_REGS,
							    QEMU_PLUGIN_COND_NE, is_counting, 0,
							    address);
		qemu_plugin_register_vcpu_mem_cb(insn, accessed, QEMU_PLUGIN_CB_NO_REGS,
						 QEMU_PLUGIN_MEM_RW, NULL);
	}
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
					   char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "count: usage: -plugin count.so,out=FILE\n");
		return -1;
	}
	out = fopen(argv[0] + 4, "w");
	if (!out) {
		perror(argv[0]);
		return -1;
	}
	known = strcmp(info->target_name, "aarch64") ? known_x86 : known_arm64;
	score = qemu_plugin_scoreboard_new(sizeof(struct element));
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
