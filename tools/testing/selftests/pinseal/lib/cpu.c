// SPDX-License-Identifier: GPL-2.0-only
#include "cpu.h"

int run_on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

void run_anywhere(void)
{
	cpu_set_t set;

	memset(&set, 0xff, sizeof(set));
	sched_setaffinity(0, sizeof(set), &set);
}

static void *filler_thread(void *data)
{
	struct filler *f = data;

	f->ret = run_on_cpu(f->cpu);
	if (!f->ret)
		f->ret = fill_file(f->fd, f->size, 'f');
	return NULL;
}

int fill_on_cpu(int fd, size_t size, int cpu)
{
	struct filler f = { .fd = fd, .size = size, .cpu = cpu };
	pthread_t thread;
	int ret = -pthread_create(&thread, NULL, filler_thread, &f);

	if (ret)
		return ret;
	pthread_join(thread, NULL);
	return f.ret;
}
