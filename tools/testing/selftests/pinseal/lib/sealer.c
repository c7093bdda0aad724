// SPDX-License-Identifier: GPL-2.0-only
#include "sealer.h"

/* The state letter of a task, or 0 when it is gone. */
static char state_in(const char *path)
{
	char line[256], *p;
	FILE *f;

	f = fopen(path, "re");
	if (!f)
		return 0;
	p = fgets(line, sizeof(line), f);
	fclose(f);
	/* The state follows the name, which may hold anything but is in parentheses. */
	p = p ? strrchr(line, ')') : NULL;
	return p ? p[2] : 0;
}

/* That of a thread of this process. */
static char thread_state(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	return state_in(path);
}

bool process_wait_asleep(pid_t pid)
{
	uint64_t until = now_ns() + SOON_NS;
	char path[64], state;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	while ((state = state_in(path)) != 'S' && state != 'D') {
		if (!state || now_ns() > until)
			return false;
		sleep_ns(NSEC_PER_MSEC);
	}
	return true;
}

static bool thread_is_asleep(const pid_t *tid)
{
	pid_t t = __atomic_load_n(tid, __ATOMIC_ACQUIRE);

	return t && thread_state(t) == 'S';
}

bool thread_wait_asleep(const pid_t *tid)
{
	uint64_t until = now_ns() + SOON_NS;

	while (!thread_is_asleep(tid)) {
		if (now_ns() > until)
			return false;
		sleep_ns(100 * 1000);
	}
	return true;
}

void *sealer_thread(void *data)
{
	struct sealer *s = data;

	s->began = now_ns();
	__atomic_store_n(&s->tid, thread_id(), __ATOMIC_RELEASE);
	s->ret = ps_seal(s->fd, &s->arg);
	s->ended = now_ns();
	__atomic_store_n(&s->done, true, __ATOMIC_RELEASE);
	return NULL;
}

int sealer_start(struct sealer *s, int fd, struct pinseal_seal arg)
{
	uint64_t until = now_ns() + SOON_NS;
	int ret;

	memset(s, 0, sizeof(*s));
	s->fd = fd;
	s->arg = arg;
	ret = -pthread_create(&s->thread, NULL, sealer_thread, s);
	while (!ret && !sealer_done(s) && !thread_is_asleep(&s->tid)) {
		if (now_ns() > until)
			ret = -ETIME;
		sleep_ns(100 * 1000);
	}
	return ret;
}

int sealer_join(struct sealer *s)
{
	pthread_join(s->thread, NULL);
	return s->ret;
}
