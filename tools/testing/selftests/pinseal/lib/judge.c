// SPDX-License-Identifier: GPL-2.0-only
#include "judge.h"
#include "object.h"

/* Whether programs that are executed from now on have the library. Complains if not. */
static bool preload_library(void)
{
	char lib[PATH_MAX];

	path_beside(lib, sizeof(lib), "libpinseal-memfd.so");
	if (!access(lib, R_OK) && !setenv("LD_PRELOAD", lib, 1))
		return true;
	fprintf(stderr, "%s: %s\n", lib, strerror(errno));
	return false;
}

/* In the child: executes this program, for one check. */
static void __attribute__((noreturn)) check_exec(const char *name, const char *arg,
						 bool preload)
{
	if (!preload || preload_library())
		execl("/proc/self/exe", "judge", "--check", name, arg, NULL);
	_exit(127);
}

struct verdict check_run(const char *name, const char *arg, bool preload)
{
	int out = memfd_create("output", MFD_CLOEXEC);
	struct verdict v = { .status = -1 };
	char line[256];
	pid_t pid;
	FILE *f;

	fflush(NULL);
	pid = out < 0 ? -1 : ps_fork();
	if (!pid) {
		setpgid(0, 0);
		dup2(out, 1);
		dup2(out, 2);
		check_exec(name, arg, preload);
	}
	if (pid < 0)
		return v;
	waitpid(pid, &v.status, 0);
	kill(-pid, SIGKILL);

	lseek(out, 0, SEEK_SET);
	f = fdopen(out, "r");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		printf("# %s\n", line);
		strcpy(v.last_line, line);
		strncat(v.text, line, sizeof(v.text) - 1 - strlen(v.text));
	}
	if (f)
		fclose(f);
	return v;
}

bool check_was_busy(const struct verdict *v)
{
	return v->status && strstr(v->last_line, strerror(EBUSY));
}

/* Whether memfd_create() makes objects. The preloaded library may quietly make memfds. */
static bool memfds_are_objects(void)
{
	int fd = memfd_create("judge", MFD_CLOEXEC);
	bool are = obj_is_pinseal(fd);

	close(fd);
	return are;
}

void judge_preloaded(char **argv)
{
	if (getenv("LD_PRELOAD")) {
		if (memfds_are_objects())
			return;
		fprintf(stderr, "memfd_create() makes no objects\n");
	} else if (preload_library()) {
		execv("/proc/self/exe", argv);
	}
	exit(1);
}

void check_main(const struct check *checks, size_t n, int argc, char **argv)
{
	if (argc < 3 || strcmp(argv[1], "--check"))
		return;
	/* Output before an abort() counts. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (memfds_are_objects() != !!getenv("LD_PRELOAD"))
		exit(125);
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(checks[i].name, argv[2])) {
			checks[i].run(argc - 2, argv + 2);
			exit(0);
		}
	}
	exit(126);
}
