// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A generational garbage collector's write barrier.
 *
 *	write_barrier
 *
 * Most objects die young, so a minor collection looks at young objects only: it keeps those that
 * an old object refers to. Scanning all old objects for references would take too long. But since
 * the last collection new references can only be where the program has stored something: on few
 * pages, if only one knew which.
 *
 * So the collector keeps the pages of old objects read-only. The first store to a page is refused
 * with SIGSEGV. The handler notes the page as dirty, makes it writable and returns, and the store
 * is made again; later ones to that page cost nothing. A minor collection scans the dirty pages,
 * and makes them read-only again.
 *
 * mprotect() can do that, too, but it splits the mapping: of pages that alternate, each becomes a
 * mapping of its own, and a process has at most vm.max_map_count of those. With
 * PINSEAL_IOC_PROTECT it is one mapping, whatever its pages are, and one call protects all dirty
 * pages.
 *
 * This program has one thread. With more, two may be refused on one page, and the handler has to
 * note pages atomically. System calls get no signal but EFAULT when they store to a read-only
 * page: touch it first.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <pinseal.h>

#define COLLECTIONS	4
#define OLD_PAGES	4096
#define NEW_OBJECTS	100	/* between two collections */

/* An object. Those of this collector do not move: who survives is old from then on. */
struct object {
	enum { UNUSED, YOUNG, OLD, DEAD } state;
	int is_expected;	/* to survive, for the check at the end */
};

static struct object objects[COLLECTIONS * NEW_OBJECTS];

/*
 * The old space: all that old objects consist of here are references. They are volatile because
 * a store has an effect that the compiler does not know of: the handler runs.
 */
static struct object *volatile *old_space;
static size_t page_bytes, page_refs;

/* The barrier: which pages were stored to since the last collection. */
static int space_fd;
static unsigned int dirty[OLD_PAGES];
static volatile unsigned int n_dirty;

static void *page_address(unsigned int page)
{
	return (void *)&old_space[page * page_refs];
}

/* A store was refused. */
static void on_store(int signal_number, siginfo_t *info, void *context)
{
	size_t page = ((uintptr_t)info->si_addr - (uintptr_t)old_space) / page_bytes;

	(void)context;
	if (page >= OLD_PAGES) {
		/* Not the barrier's: the access is made again, and ends the program. */
		signal(signal_number, SIG_DFL);
		return;
	}
	dirty[n_dirty++] = page;
	if (pinseal_protect(space_fd, page_address(page), page_bytes, PROT_READ | PROT_WRITE))
		abort();
}

/* Young objects that a page refers to survive. */
static void scan_page(unsigned int page)
{
	for (size_t i = page * page_refs; i < (page + 1) * page_refs; i++) {
		struct object *object = old_space[i];

		if (object && object->state == YOUNG)
			object->state = OLD;
	}
}

/*
 * Scans the dirty pages only, makes them read-only in one call, and frees what is still young: 0, or a negative
 * errno.
 */
static int minor_collection(void)
{
	static struct pinseal_protect_range again[OLD_PAGES];
	unsigned int n = n_dirty;

	for (unsigned int i = 0; i < n; i++) {
		scan_page(dirty[i]);
		again[i] = (struct pinseal_protect_range){
			.addr = (uintptr_t)page_address(dirty[i]),
			.len = page_bytes,
			.prot = PROT_READ,
		};
	}
	for (size_t i = 0; i < COLLECTIONS * NEW_OBJECTS; i++)
		if (objects[i].state == YOUNG)
			objects[i].state = DEAD;
	n_dirty = 0;
	return pinseal_protect_ranges(space_fd, again, n);
}

/*
 * The program whose garbage it is: makes objects, stores references to them anywhere in the old
 * space, and overwrites some of these.
 */
static void mutate(struct object *new)
{
	size_t refs = OLD_PAGES * page_refs, at = 0;

	for (int i = 0; i < NEW_OBJECTS; i++) {
		new[i].state = YOUNG;
		/* Of three the second overwrites the first one's reference; the third has none. */
		if (i % 3 == 0)
			at = ((size_t)rand() * 1031 + rand()) % refs;
		if (i % 3 != 2)
			old_space[at] = &new[i];
	}
}

/* Without a barrier: scans all of the old space for objects that have to survive. */
static void expect_survivors(void)
{
	for (size_t i = 0; i < OLD_PAGES * page_refs; i++)
		if (old_space[i] && old_space[i]->state == YOUNG)
			old_space[i]->is_expected = 1;
}

int main(void)
{
	struct sigaction barrier = { .sa_sigaction = on_store, .sa_flags = SA_SIGINFO };
	size_t size;

	page_bytes = sysconf(_SC_PAGESIZE);
	page_refs = page_bytes / sizeof(*old_space);
	size = OLD_PAGES * page_bytes;
	space_fd = pinseal_open(O_RDWR);
	if (space_fd < 0 || pinseal_resize(space_fd, size)) {
		fprintf(stderr, "gc: no memory by " PINSEAL_DEVICE "\n");
		return 1;
	}
	old_space = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, space_fd, 0);
	if (old_space == MAP_FAILED || sigaction(SIGSEGV, &barrier, NULL)) {
		perror("gc: the old space");
		return 1;
	}
	/* All pages at once: one range. */
	if (pinseal_protect(space_fd, page_address(0), size, PROT_READ)) {
		fprintf(stderr, "gc: the old space cannot be protected\n");
		return 1;
	}

	for (int i = 0; i < COLLECTIONS; i++) {
		struct object *new = &objects[i * NEW_OBJECTS];
		unsigned int scanned, kept = 0;

		mutate(new);
		expect_survivors();
		scanned = n_dirty;
		if (minor_collection()) {
			fprintf(stderr, "gc: dirty pages cannot be protected\n");
			return 1;
		}
		for (int j = 0; j < NEW_OBJECTS; j++) {
			if ((new[j].state == OLD) != new[j].is_expected) {
				printf("gc: object %d is %s by mistake\n", j,
				       new[j].is_expected ? "freed" : "kept");
				return 1;
			}
			kept += new[j].state == OLD;
		}
		printf("gc: scanned %u of %u old pages, kept %u of %u new objects\n", scanned,
		       OLD_PAGES, kept, NEW_OBJECTS);
		if (!scanned || scanned > NEW_OBJECTS)
			return 1;
	}
	return 0;
}
