// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * The memory of a user-mode kernel's guests.
 *
 *	guest_pages
 *
 * A user-mode kernel runs programs, its guests, as a part of an ordinary process. It has some
 * physical memory, and for each guest a page table: a tree that says which page of that memory
 * is at which address, and whether it may be stored to. When it switches from one guest to
 * another, the same addresses have to show other pages.
 *
 * With MAP_FIXED each page that is not beside its neighbour becomes a mapping of its own, and a
 * switch is as many system calls. Here the guests' addresses are one mapping of the memory, and a
 * switch is one call with PINSEAL_PROTECT_REMAP: those entries of the tree that the two guests do
 * not have in common.
 *
 * Two guests run in turns. Each has a page of its own for data, at the same address, and a page
 * of "code" that both share and cannot store to. They pass a token by a page that both can store
 * to, at different addresses.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <pinseal.h>

#define PAGES		1024	/* of physical memory, and of a guest's addresses */
#define FANOUT		32	/* a tree of two levels: 32 * 32 pages */
#define SWITCHES	1000

/* An entry of a page table: which physical page, and for what. */
struct entry {
	uint32_t page;
	uint32_t prot;		/* PROT_NONE: nothing is there */
};

struct guest {
	struct entry *leaves[FANOUT];	/* NULL: nothing is there */
};

/* Where things are in a guest. */
enum { CODE = 0, DATA = 40, HEAP = 100, HEAP_PAGES = 200, TOKEN = 500 };

static int memory_fd;
static char *addresses;			/* those of the guest that runs */
static size_t page_bytes;
static uint32_t next_free_page;

static struct entry *entry_at(struct guest *guest, unsigned int at)
{
	struct entry **leaf = &guest->leaves[at / FANOUT];

	if (!*leaf)
		*leaf = calloc(FANOUT, sizeof(**leaf));
	return &(*leaf)[at % FANOUT];
}

static void map_page(struct guest *guest, unsigned int at, uint32_t page, uint32_t prot)
{
	*entry_at(guest, at) = (struct entry){ page, prot };
}

/* A page that no guest has. The host's kernel fills it with zeroes. */
static uint32_t new_page(void)
{
	return next_free_page++;
}

static const struct entry nothing;

/*
 * Lists how the addresses change from one guest to the next, and has the kernel change them all:
 * the number of ranges, or a negative errno. Pages that follow each other are one range.
 */
static int switch_guest(struct guest *from, struct guest *to)
{
	static struct pinseal_protect_range ranges[PAGES];
	unsigned int n = 0;
	int ret;

	for (unsigned int at = 0; at < PAGES; at++) {
		const struct entry *old = &nothing, *new = &nothing;
		struct pinseal_protect_range *last = n ? &ranges[n - 1] : NULL;

		if (from && from->leaves[at / FANOUT])
			old = entry_at(from, at);
		if (to->leaves[at / FANOUT])
			new = entry_at(to, at);
		if (from && !memcmp(old, new, sizeof(*old)))
			continue;
		if (last && last->addr + last->len == (uintptr_t)addresses + at * page_bytes &&
		    last->prot == new->prot &&
		    (!new->prot || last->pgoff + last->len / page_bytes == new->page)) {
			last->len += page_bytes;
			continue;
		}
		ranges[n++] = (struct pinseal_protect_range){
			.addr = (uintptr_t)addresses + at * page_bytes,
			.len = page_bytes,
			.prot = new->prot,
			/* Where nothing is, it does not matter which page is not shown. */
			.pgoff = new->prot ? new->page : 0,
			.flags = new->prot ? PINSEAL_PROTECT_REMAP : 0,
		};
	}
	ret = pinseal_protect_ranges(memory_fd, ranges, n);
	return ret ? ret : (int)n;
}

static uint32_t *word(unsigned int at)
{
	return (uint32_t *)(addresses + at * page_bytes);
}

/* What a guest does when it runs. Its own number is in its data. */
static int run(unsigned int number, unsigned int token_at)
{
	uint32_t *token = word(token_at);

	if (*word(DATA) != number || *word(HEAP + HEAP_PAGES - 1) != number)
		return -1;
	/* Each takes the token that the other has left. */
	if (*token % 2 != number)
		return -1;
	++*token;
	++*word(HEAP);
	return 0;
}

static sigjmp_buf page_fault;

static void on_fault(int signal_number)
{
	(void)signal_number;
	siglongjmp(page_fault, 1);
}

/* Whether a store is refused: a page fault, which a kernel would now resolve. */
static int is_refused(unsigned int at)
{
	if (sigsetjmp(page_fault, 1))
		return 1;
	*(volatile uint32_t *)word(at) = 1;
	return 0;
}

int main(void)
{
	struct guest guests[2] = { 0 };
	uint32_t code = new_page(), token = new_page();
	unsigned long ranges = 0;

	page_bytes = sysconf(_SC_PAGESIZE);
	memory_fd = pinseal_open(O_RDWR);
	if (memory_fd < 0 || pinseal_resize(memory_fd, PAGES * page_bytes)) {
		fprintf(stderr, "guests: no memory by " PINSEAL_DEVICE "\n");
		return 1;
	}
	addresses = mmap(NULL, PAGES * page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	if (addresses == MAP_FAILED || signal(SIGSEGV, on_fault) == SIG_ERR) {
		perror("guests: addresses");
		return 1;
	}

	for (uint32_t i = 0; i < 2; i++) {
		uint32_t number = i, data = new_page();

		map_page(&guests[i], CODE, code, PROT_READ);
		map_page(&guests[i], DATA, data, PROT_READ | PROT_WRITE);
		map_page(&guests[i], TOKEN + i, token, PROT_READ | PROT_WRITE);
		for (unsigned int page = 0; page < HEAP_PAGES; page++)
			map_page(&guests[i], HEAP + page, new_page(), PROT_READ | PROT_WRITE);
		/* A kernel has all physical memory at hand: here, by the object itself. */
		if (pwrite(memory_fd, &number, sizeof(number), data * page_bytes) < 0 ||
		    pwrite(memory_fd, &number, sizeof(number),
			   (next_free_page - 1) * page_bytes) < 0) {
			perror("guests: memory");
			return 1;
		}
	}

	for (unsigned int i = 0; i < SWITCHES; i++) {
		struct guest *from = i ? &guests[(i + 1) % 2] : NULL, *to = &guests[i % 2];
		int n = switch_guest(from, to);

		if (n < 0) {
			fprintf(stderr, "guests: no switch: %s\n", strerror(-n));
			return 1;
		}
		ranges += n;
		if (run(i % 2, TOKEN + i % 2)) {
			printf("guests: guest %u does not find its pages in turn %u\n", i % 2, i);
			return 1;
		}
		/* Neither the code, nor what the other has. */
		if (!is_refused(CODE) || !is_refused(TOKEN + (i + 1) % 2)) {
			printf("guests: guest %u stores where it must not\n", i % 2);
			return 1;
		}
	}
	printf("guests: %u switches of %u pages by %lu ranges, in one mapping\n", SWITCHES,
	       2 + HEAP_PAGES + 1, ranges);
	return 0;
}
