// SPDX-License-Identifier: GPL-2.0-only
#include "round.h"
#include "arena.h"
#include "async_seal.h"
#include "bytes.h"
#include "child.h"
#include "content.h"
#include "extra_ref.h"
#include "io.h"
#include "ioctl.h"
#include "lease.h"
#include "log.h"
#include "mapping.h"
#include "mirror.h"
#include "model.h"
#include "object.h"
#include "pins.h"
#include "pinseal_test.h"
#include "protect_pages.h"
#include "random.h"
#include "seal.h"
#include "share.h"
#include "size.h"
#include "stacked.h"
#include "worker.h"

#define DOOMED_FD	700	/* first number reserved for descriptors closed at random */

struct operation {
	void (*run)(struct worker *w, struct target *t);
	unsigned int weight[PROFILES];
};

static const struct operation operations[] = {
	/*			  MIXED RACING	MAPPING PINNING SIZING CHECKING */
	{ op_seal,		{ 10,	10,	10,	10,	8,	8 } },
	{ op_async_seal,	{ 6,	4,	4,	4,	3,	3 } },
	{ op_add_seals,		{ 2,	1,	1,	0,	1,	1 } },
	{ op_get_seals,		{ 4,	1,	3,	3,	4,	4 } },
	{ op_info,		{ 3,	0,	1,	1,	6,	2 } },
	{ op_resize,		{ 4,	0,	0,	1,	14,	3 } },
	{ op_fallocate,		{ 4,	0,	0,	1,	10,	4 } },
	{ op_set_name,		{ 1,	0,	0,	0,	1,	1 } },
	{ op_sync,		{ 3,	1,	2,	3,	3,	2 } },
	{ op_create,		{ 1,	0,	0,	0,	0,	1 } },
	{ op_unknown,		{ 1,	0,	0,	0,	0,	1 } },
	{ op_share,		{ 3,	1,	2,	1,	1,	2 } },
	{ op_import,		{ 1,	0,	0,	0,	0,	1 } },
	{ op_pins,		{ 3,	0,	1,	6,	1,	2 } },
	{ op_read,		{ 6,	1,	2,	4,	5,	10 } },
	{ op_write,		{ 8,	2,	2,	5,	8,	6 } },
	{ op_seek,		{ 3,	0,	0,	1,	3,	2 } },
	{ op_splice,		{ 3,	0,	0,	4,	1,	3 } },
	{ op_doomed_fd,		{ 3,	0,	1,	1,	1,	2 } },
	{ op_nonblock,		{ 1,	0,	0,	1,	1,	1 } },
	{ op_pass_fd,		{ 1,	0,	0,	0,	0,	1 } },
	{ op_other,		{ 1,	0,	0,	0,	0,	1 } },
	{ op_map,		{ 3,	0,	4,	1,	2,	4 } },
	{ op_unmap,		{ 6,	0,	6,	2,	4,	2 } },
	{ op_map_and_store,	{ 6,	20,	16,	4,	2,	4 } },
	{ op_store,		{ 5,	0,	6,	1,	2,	2 } },
	{ op_load,		{ 5,	0,	3,	2,	3,	14 } },
	{ op_change_mapping,	{ 6,	0,	8,	2,	2,	6 } },
	{ op_fork,		{ 1,	0,	1,	0,	0,	0 } },
	{ op_kill,		{ 1,	0,	0,	0,	0,	0 } },
	{ op_take_ref,		{ 3,	1,	1,	8,	1,	1 } },
	{ op_store_by_pin,	{ 3,	0,	1,	8,	1,	1 } },
	{ op_drop_ref,		{ 6,	3,	2,	12,	5,	2 } },
	{ op_pin,		{ 4,	2,	1,	7,	4,	2 } },
	{ op_use_handle,	{ 5,	2,	1,	10,	4,	3 } },
	{ op_mirror,		{ 4,	4,	5,	1,	3,	5 } },
	{ op_protect,		{ 6,	3,	10,	2,	3,	6 } },
};

_Static_assert(LARGE_MAX / 4096 <= MAPPING_PAGES, "rights of all pages");

#define OPERATIONS	(sizeof(operations) / sizeof(operations[0]))

enum profile profile;

unsigned int ops_per_worker;

struct worker workers[WORKERS + 1];

static const struct operation *random_operation(struct random *r)
{
	unsigned int sum = 0, at, i;

	for (i = 0; i < OPERATIONS; i++)
		sum += operations[i].weight[profile];
	at = random_below(r, sum);
	for (i = 0; at >= operations[i].weight[profile]; i++)
		at -= operations[i].weight[profile];
	return &operations[i];
}

/*
 * Workers
 */

int worker_init(struct worker *w, unsigned int number, size_t most)
{
	w->number = number;
	w->log = &fuzz->log[number];
	w->child.stop = &fuzz->child_stop[number];
	w->buf = mmap(NULL, most, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return w->buf == MAP_FAILED ? -errno : arena_init(&w->arena);
}

static void *worker_thread(void *data)
{
	struct worker *w = data;

	this_worker = w;
	w->log->n = 0;
	w->mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK) || pipe2(w->source, O_CLOEXEC)) {
		break_rule(RULE_LEAKS, "no more descriptors");
		goto out;
	}
	fuzz->task[w->number].tid = syscall(SYS_gettid);
	write_once(fuzz->task[w->number].pid, getpid());

	for (w->op = 0; w->op < ops_per_worker && !is_over(); w->op++) {
		const struct operation *operation;
		struct target *t;

		w->r = random_for(fuzz->seed, fuzz->round, w->number, w->op);
		operation = random_operation(&w->r);
		/* Most operations go to the same object, so that the workers race. */
		t = &fuzz->target[once_in(&w->r, 4) ? random_below(&w->r, TARGETS) :
				  w->op * TARGETS / ops_per_worker];
		operation->run(w, t);
		check_mappings(w);
		check_refs(w);
		check_child(w);
	}

	write_once(fuzz->task[w->number].pid, 0);
	block_signals(true);
	stop_child(w);
	for (int i = 0; i < EXTRA_REFS; i++)
		drop_ref(w, &w->ref[i]);
	for (int i = 0; i < MIRRORS; i++)
		close_mirror(w, &w->mirror[i]);
	for (int i = 0; i < MAPPINGS; i++)
		if (w->mapping[i].t)
			unmap(w, &w->mapping[i]);
	close(w->source[0]);
	close(w->source[1]);
	close(w->pipe[0]);
	close(w->pipe[1]);
out:
	close(w->mem);
	return NULL;
}

void run_workers(unsigned int first, unsigned int end)
{
	pthread_t thread[WORKERS];
	unsigned int i;

	for (i = first; i < end; i++)
		if (pthread_create(&thread[i], NULL, worker_thread, &workers[i])) {
			perror("# pthread_create");
			abort();
		}
	for (i = first; i < end; i++)
		pthread_join(thread[i], NULL);
}

/*
 * Objects
 */

/* Opens an object's inner file. Returns its descriptor, or -1. */
static int open_inner(int fd)
{
	size_t page = page_size();
	void *p = ps_map(fd, page, PROT_READ, MAP_SHARED);
	int inner;

	if (p == MAP_FAILED)
		return -1;
	inner = open_mapped_file(p, page, O_RDWR);
	munmap(p, page);
	return inner < 0 ? -1 : inner;
}

/* A new file for an object to be stacked on: empty, or with pages for all or a part of the object. */
static int new_lower_file(struct random *r, size_t span, bool *has_content)
{
	int fd = memfd_open();
	size_t size = once_in(r, 2) ? span : 1 + random_below(r, 2 * span);

	*has_content = !once_in(r, 4);
	if (fd >= 0 && *has_content && fill_lower(fd, size)) {
		close(fd);
		return -1;
	}
	return fd;
}

int new_object(struct target *t, struct random *r, size_t span)
{
	bool from_below = false;
	int access = once_in(r, 12) ? one_of(r, O_RDONLY, O_WRONLY) : O_RDWR;
	bool created = access == O_RDWR && once_in(r, 3), owner_seals = once_in(r, 2);
	int fd = created ? created_open(owner_seals ? PINSEAL_CREATE_ALLOW_SEALING : 0, "fuzz") :
			   ps_open(access);

	if (fd < 0)
		return fd;
	target_init(t, fd, access, span);
	t->created = created;
	if (created)
		note(N_CREATED);
	t->doomed = DOOMED_FD + t->number;
	t->wanted = F_SEAL_WRITE | (random_bits(r) & random_bits(r) & ALL_SEALS);
	if (once_in(r, 2))
		t->wanted |= SIZE_SEALS;
	t->isolates = once_in(r, 2);
	t->async = once_in(r, 2);
	t->write_seal_op = (t->number * ops_per_worker + random_below(r, ops_per_worker)) / TARGETS;
	/* The workers allocate the memory of some objects. */
	t->used = created;
	if (access == O_RDONLY || (!created && once_in(r, 8)))
		return 0;
	if (created) {
		/* Calls for the inner file are for the object's own, or for a plain memfd. */
		t->inner_is_object = once_in(r, 2);
		t->inner = t->inner_is_object ? dup(fd) : open_by_proc(fd, O_RDWR);
		t->owner_seals = owner_seals;
		if (t->inner < 0)
			return -EIO;
	} else if (access == O_RDWR && once_in(r, 4)) {
		t->inner = memfd_open();
		t->owner_seals = true;
		t->may_be_shared = t->is_shared = true;
		if (t->inner < 0 || ps_import(fd, t->inner))
			return -EIO;
	} else if (access == O_RDWR && once_in(r, 3)) {
		t->lower = new_lower_file(r, span, &from_below);
		if (t->lower < 0 || ps_attach(fd, t->lower, 0))
			return -EIO;
		t->lower_fails = once_in(r, 3);
		note(from_below ? N_FROM_BELOW : N_STACKED);
	}
	t->used = true;
	t->keeps_pages = once_in(r, 2);
	if (ps_resize(fd, span))
		return -EIO;
	/* Some objects keep holes, or what comes from below. */
	if (!once_in(r, from_below ? 2 : 4) && fill_file(fd, span, 1 + random_below(r, 255)))
		return -EIO;
	/* That of a stacked object goes past it. */
	if (access == O_RDWR && t->inner < 0 && t->lower < 0 && once_in(r, 2))
		t->inner = open_inner(fd);
	return 0;
}

/*
 * Final checks
 */

/* Checks the content twice, by read and by load. */
static void check_content(struct worker *w, struct target *t)
{
	for (int i = 0; i < 2 && has_image(t); i++) {
		void *p = ps_map(t->fd, t->span, PROT_READ, MAP_SHARED);
		ssize_t size;

		call_begin(w, t, "pread(%lld)", t->number);
		size = call_end(w, sys(pread(t->fd, w->buf, t->span, 0)));
		if (size > 0) {
			check_bytes(t, 0, w->buf, size, "final read");
			check_bytes(t, 0, p, size, "final load");
		}
		munmap(p, t->span);
	}
}

/* After a sync, a lower file that can be written to has what the object has. */
static void check_lower(struct worker *w, struct target *t)
{
	off_t at;
	int ret;

	if (t->lower < 0 || t->lower_fails)
		return;
	call_begin(w, t, "final fsync(%lld)", t->number);
	ret = call_end(w, sys(fsync(t->fd)));
	at = ret ? 0 : differs_up_to(t->fd, t->lower, t->span);
	if (ret || at >= 0)
		break_rule(RULE_STATE, "object %lld: fsync() returned %d; its file differs at %#llx",
			   t->number, ret, (long long)at);
}

/* A waiting RESIZE cannot remove a pinned page. */
static void check_waiting_resize(struct worker *w, struct target *t)
{
	struct pinseal_resize arg = { .timeout_ns = 20000, .flags = PINSEAL_RESIZE_WAIT };
	int pin, ret;

	call_begin(w, t, "final PIN(%lld)", t->number);
	pin = call_end(w, ps_pin(t->fd, 0, 1, 0));
	if (pin < 0)
		return;
	resizing_begins(t, 0);
	call_begin(w, t, "final RESIZE(%lld, 0)", t->number);
	ret = call_end(w, ps_ioctl(t->fd, PINSEAL_IOC_RESIZE, &arg));
	resizing_ends(t, 0, ret != -EBUSY);
	call_forbidden_by(w, ret, F_SEAL_SHRINK);
	if (ret == -EBUSY)
		note(N_WAIT_TIMED_OUT);
	else if (ret != -EPERM)
		break_rule(RULE_STATE, "object %lld: RESIZE returned %d for a pinned page",
			   t->number, ret);
	close(pin);
}

/* A released object can be sealed, and the seal holds. */
static void check_released(struct worker *w, struct target *t)
{
	struct pinseal_seal arg = { .seals = F_SEAL_WRITE, .timeout_ns = 20 * NSEC_PER_SEC };
	int lease = -1, mirror = -1, ret;
	uint32_t seals;

	cancel_async_seal(t);
	call_begin(w, t, "final GET_SEALS(%lld)", t->number);
	seals = call_end(w, ps_get_seals(t->fd));
	check_seals(t, &w->before, seals);
	check_size(t, &w->before, ps_size(t->fd));
	if (t->access != O_RDWR)
		return;

	/* Not random, so that every run reaches it. */
	if (t->number % 3 == 2 && !(w->before.known & (F_SEAL_WRITE | F_SEAL_SEAL)))
		check_break_request(w, t);
	if (t->number % 3 == 0)
		check_waiting_resize(w, t);

	/* Some objects keep a mirror or a lease, which must not block the seal. */
	if (t->number % 2)
		mirror = make_final_mirror(w, t);
	if (t->number % 3 == 1)
		lease = pin_final_lease(w, t);
	if (lease >= 0)
		arg.flags = PINSEAL_SEAL_REVOKE;
	seals_requested(t, F_SEAL_WRITE);
	lease_break_begins(t);
	call_begin(w, t, "final SEAL(%lld, flags %#llx)", t->number, arg.flags);
	ret = call_end(w, ps_seal(t->fd, &arg));
	if (ret != (seals & F_SEAL_SEAL ? -EPERM : 0) && !(ret == -EPERM && t->lower_fails))
		break_rule(RULE_RELEASE, "released object %lld cannot be sealed: "
			   "%s, outcome %u, %llu pages from %#llx on", t->number,
			   ret ? strerrorname_np(-ret) : "0", arg.outcome, arg.pinned_pages,
			   arg.first_pinned);
	if (!ret)
		seals_known(t, F_SEAL_WRITE);
	if (!ret && mirror >= 0)
		check_final_mirror(w, t, mirror);
	if (!ret && lease >= 0)
		check_final_lease(w, t, lease, arg.revoked_pages);
	if (mirror >= 0)
		close(mirror);
	if (lease >= 0)
		close(lease);
	call_begin(w, t, "final pwrite(%lld)", t->number);
	ret = call_end(w, sys(pwrite(t->fd, "x", 1, 0)));
	if (!(w->before.known & F_SEAL_WRITE))
		return;
	if (ret != -EPERM || ps_try_map(t->fd, page_size(), RW, MAP_SHARED) != -EPERM)
		break_rule(RULE_WRITERS, "object %lld is sealed, but writable",
			   t->number);
	take_image(t, &w->before);
	check_content(w, t);
	check_lower(w, t);
}

void final_check(struct worker *w)
{
	w->log->n = 0;
	for (int i = 0; i < TARGETS && !is_over(); i++)
		check_released(w, &fuzz->target[i]);
}

void close_object(struct target *t)
{
	close(t->fd);
	close(t->doomed);
	if (t->inner >= 0)
		close(t->inner);
	if (t->lower >= 0)
		close(t->lower);
}
