// SPDX-License-Identifier: GPL-2.0-only
#include "under_pressure.h"

uint64_t under_pressure_limit(void)
{
	return 8192 * page_size();
}

/* Uses all memory, page after page, slowly. */
static void __attribute__((noreturn)) under_pressure_hog(const struct memcg *group)
{
	size_t page = page_size(), len = under_pressure_limit(), i;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	setpriority(PRIO_PROCESS, 0, 19);
	madvise(p, len, MADV_NOHUGEPAGE);
	/* The OOM killer takes this process first. */
	write_text("/proc/self/oom_score_adj", "1000");
	if (p == MAP_FAILED || memcg_join(group))
		_exit(1);
	for (i = 0;; i = (i + page) % len) {
		(*(volatile char *)(p + i))++;
		if (!(i / page % 32))
			sleep_ns(5 * NSEC_PER_MSEC);
	}
}

/* Removes groups and swap. */
static void under_pressure_end(struct under_pressure *u)
{
	if (u->hog_pid > 0)
		ps_kill(u->hog_pid);
	/* Room for what comes back from swap. */
	memcg_write(&u->all, "memory.max", "max");
	memcg_remove(&u->all);
	zram_swap_end(&u->swap);
}

/* Makes groups, swap and hog: 0, or -errno. */
static int under_pressure_begin(struct under_pressure *u)
{
	int ret;

	memset(u, 0, sizeof(*u));
	u->swap.id = -1;
	ret = memcg_make(&u->all, NULL, "under-pressure");
	if (!ret)
		ret = memcg_make(&u->tested, &u->all, "tested");
	if (!ret)
		ret = memcg_make(&u->hog, &u->all, "hog");
	if (!ret)
		ret = memcg_write_number(&u->all, "memory.max", under_pressure_limit());
	if (!ret)
		ret = zram_swap_begin(&u->swap, 4 * under_pressure_limit());
	if (!ret) {
		u->hog_pid = ps_fork();
		if (!u->hog_pid)
			under_pressure_hog(&u->hog);
		ret = u->hog_pid < 0 ? -errno : 0;
	}
	if (ret)
		under_pressure_end(u);
	return ret;
}

static volatile pid_t under_pressure_child;
static volatile sig_atomic_t under_pressure_signal;

/* A signal to this process ends the program; everything is then restored as usual. */
static void under_pressure_interrupted(int sig)
{
	under_pressure_signal = sig;
	kill(under_pressure_child, SIGKILL);
}

/* In the child: executes the program of that name beside this one. */
static void __attribute__((noreturn)) under_pressure_exec(const struct memcg *group,
							  char **argv)
{
	char path[PATH_MAX], *args[16] = { path };
	size_t count = 1, most = sizeof(args) / sizeof(args[0]) - 3;

	path_beside(path, sizeof(path), argv[0]);
	for (; argv[count] && count < most; count++)
		args[count] = argv[count];
	/* The harness obeys the first filter that matches a test. */
	args[count++] = "-V";
	args[count++] = "memfd";
	setenv(UNDER_PRESSURE, "1", 1);
	if (argv[count - 2])
		errno = E2BIG;
	else if (!memcg_join(group))
		execv(path, args);
	fprintf(stderr, "# under pressure: %s: %s\n", path, strerror(errno));
	_exit(127);
}

/* Runs the program in its group: its wait status. */
static int under_pressure_wait(struct under_pressure *u, char **argv)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = under_pressure_interrupted };
	sigset_t block, old;
	int status = 0;

	sigemptyset(&block);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&block, signals[i]);
	sigprocmask(SIG_BLOCK, &block, &old);
	under_pressure_child = ps_fork();
	if (!under_pressure_child) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		under_pressure_exec(&u->tested, argv);
	}
	machine_noise_begin(&u->noise, &u->tested, false);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &sa, NULL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	while (waitpid(under_pressure_child, &status, 0) < 0 && errno == EINTR)
		;
	machine_noise_end(&u->noise);
	return status;
}

/* Whether no memory is left after all processes of the program. */
static bool under_pressure_is_free(struct under_pressure *u, const char *name,
				   uint64_t timeout_ns)
{
	struct memcg_use use;

	memcg_write(&u->tested, "cgroup.kill", "1");
	if (memcg_is_free(&u->tested, &use, timeout_ns))
		return true;
	fprintf(stderr, "# under pressure: %s has left %ld bytes of shared memory, %ld of swap, "
		"%ld of other files in its memory cgroup\n", name, use.shmem, use.swap,
		use.file - use.shmem);
	return false;
}

static void under_pressure_tell(struct under_pressure *u, const char *name)
{
	struct machine_noise *n = &u->noise;

	fprintf(stderr, "# under pressure: %s: %ld pages went to swap, %ld came back; "
		"reclaims %lu, compactions %lu, collapses %lu, CPUs gone %lu\n", name,
		memcg_stat(&u->tested, "pswpout"), memcg_stat(&u->tested, "pswpin"),
		n->reclaims, n->compactions, n->collapses, n->cpus_gone);
}

int under_pressure(char **argv, uint64_t timeout_ns)
{
	const char *name = argv[0];
	struct under_pressure u;
	int ret, status, sig;
	bool is_free;

	if (!zram_is_there() || !memcg_is_there()) {
		printf("TAP version 13\n1..1\nok 1 %s # SKIP no %s\n", name,
		       zram_is_there() ? "cgroup2" : "zram");
		return 4;	/* KSFT_SKIP */
	}
	ret = under_pressure_begin(&u);
	if (ret) {
		fprintf(stderr, "# under pressure: %s\n", strerror(-ret));
		return 1;
	}
	status = under_pressure_wait(&u, argv);
	is_free = under_pressure_is_free(&u, name, timeout_ns);
	under_pressure_tell(&u, name);
	under_pressure_end(&u);

	sig = under_pressure_signal ?: WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (sig) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	if (!is_free && (!WEXITSTATUS(status) || WEXITSTATUS(status) == 4))
		return 1;
	return WEXITSTATUS(status);
}
