// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <sys/resource.h>

#include "content.h"
#include "crowd.h"
#include "sysfile.h"

/* Descriptors of a hold and its object, and those of everything else. */
#define FDS_EACH	3
#define FDS_MORE	100

static int held_object(enum hold_kind kind, struct hold *hold)
{
	int fd = ps_create(page_size()), ret;

	if (fd < 0)
		return fd;
	ret = fill_file(fd, page_size(), 'c');
	if (!ret && kind != CROWD_NO_HOLD)
		ret = hold_begin(hold, kind, fd, 0, 1);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

/* Allows descriptors of @n objects, and room for them. */
static int make_room(struct crowd *c, unsigned int n)
{
	rlim_t fds = n * FDS_EACH + FDS_MORE;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	if (limit.rlim_cur < fds) {
		limit.rlim_cur = fds;
		if (limit.rlim_max < fds)
			limit.rlim_max = fds;
		if (setrlimit(RLIMIT_NOFILE, &limit))
			return -errno;
	}
	/* A failure ends the test or the measurement. */
	c->fds = realloc(c->fds, n * sizeof(*c->fds));
	c->holds = realloc(c->holds, n * sizeof(*c->holds));
	c->held = realloc(c->held, n * sizeof(*c->held));
	return c->fds && c->holds && c->held ? 0 : -ENOMEM;
}

int crowd_grow(struct crowd *c, unsigned int n)
{
	int ret = make_room(c, n);

	while (!ret && c->n < n) {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
		int fd = held_object(HOLD_VMSPLICE, &c->holds[c->n]);

		if (fd < 0)
			return fd;
		c->fds[c->n] = fd;
		c->held[c->n] = true;
		c->n++;
		ret = ps_seal(fd, &arg);
	}
	return ret;
}

int crowd_release(struct crowd *c, unsigned int i)
{
	if (!c->held[i])
		return 0;
	c->held[i] = false;
	return hold_end(&c->holds[i]);
}

void crowd_end(struct crowd *c)
{
	for (unsigned int i = 0; i < c->n; i++) {
		if (c->fds[i] >= 0)
			close(c->fds[i]);
		crowd_release(c, i);
	}
	free(c->fds);
	free(c->holds);
	free(c->held);
	*c = (struct crowd){ 0 };
}

int crowd_query(struct crowd *c, unsigned int i, struct pinseal_seal *arg)
{
	*arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
	return ps_seal(c->fds[i], arg);
}

/* Waits until the seal of @fd has scanned @scans times. */
static int wait_scans(int fd, unsigned int scans)
{
	uint64_t until = now_ns() + SOON_NS;

	do {
		struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
		int ret = ps_seal(fd, &arg);

		if (ret)
			return ret;
		if (arg.scans >= scans)
			return 0;
		sleep_ns(NSEC_PER_MSEC);
	} while (now_ns() < until);
	return -ETIME;
}

int crowd_wait_scans(struct crowd *c, unsigned int i, unsigned int scans)
{
	struct pinseal_seal arg;
	int ret = crowd_query(c, i, &arg);

	return ret ? ret : wait_scans(c->fds[i], arg.scans + scans);
}

int crowd_settle(struct crowd *c)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < c->n; i++)
		ret = wait_scans(c->fds[i], CROWD_QUICK_SCANS);
	return ret;
}

int64_t crowd_newcomer(enum hold_kind kind, unsigned int scans)
{
	struct pinseal_seal arg = seal_async(F_SEAL_WRITE, UINT64_MAX);
	struct hold hold;
	uint64_t began;
	int fd = held_object(kind, &hold), ret, end;

	if (fd < 0)
		return fd;
	began = now_ns();
	ret = ps_seal(fd, &arg);
	if (kind != CROWD_NO_HOLD) {
		ret = ret ? ret : wait_scans(fd, scans);
		began = now_ns();
		end = hold_end(&hold);
		ret = ret ? ret : end;
	}
	ret = ret ? ret : async_wait(fd, &arg);
	if (!ret && arg.outcome != PINSEAL_OUTCOME_SEALED)
		ret = -EPROTO;
	close(fd);
	return ret ? ret : now_ns() - began;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t crowd_newcomers(enum hold_kind kind, unsigned int scans, unsigned int n)
{
	int64_t took[n];

	for (unsigned int i = 0; i < n; i++) {
		took[i] = crowd_newcomer(kind, scans);
		if (took[i] < 0)
			return took[i];
	}
	qsort(took, n, sizeof(*took), compare);
	return took[n / 2];
}

int be_user(uid_t uid)
{
	return sys(setresuid(uid, -1, -1));
}

/*
 * CPU time of a task. What "stat" has is sampled by the tick, and counts a worker that a timer wakes, right at
 * the tick, as if it ran until the next one.
 */
static int64_t task_ns(const char *pid, const char *stat)
{
	unsigned long long ns, user, system;
	char path[300], line[512];

	snprintf(path, sizeof(path), "/proc/%s/schedstat", pid);
	if (!read_text(path, line, sizeof(line)) && sscanf(line, "%llu", &ns) == 1)
		return ns;
	if (sscanf(strrchr(stat, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
		   &system) != 2)
		return 0;
	return (user + system) * (NSEC_PER_SEC / sysconf(_SC_CLK_TCK));
}

/* CPU time of the kernel's workers. */
static int64_t workers_ns(void)
{
	DIR *tasks = opendir("/proc");
	struct dirent *task;
	int64_t ns = 0;

	if (!tasks)
		return -errno;
	while ((task = readdir(tasks))) {
		char path[300], stat[512];

		snprintf(path, sizeof(path), "/proc/%s/stat", task->d_name);
		if (atoi(task->d_name) && !read_text(path, stat, sizeof(stat)) && strstr(stat, "(kworker/"))
			ns += task_ns(task->d_name, stat);
	}
	closedir(tasks);
	return ns;
}

int64_t crowd_cpu_ns(uint64_t window_ns)
{
	int64_t before = workers_ns(), after;
	uint64_t began = now_ns(), took;

	sleep_ns(window_ns);
	after = workers_ns();
	took = now_ns() - began;
	if (before < 0 || after < 0)
		return before < 0 ? before : after;
	/* Workers that have ended meanwhile are few. */
	return after < before ? 0 : (double)(after - before) * window_ns / took;
}
