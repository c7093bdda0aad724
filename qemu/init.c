// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's only program of its own: it loads the modules, runs what it is
 * told to, and reports over a virtio-serial port, so that whatever the kernel
 * prints, or the absence of a report, cannot be mistaken for a result.
 *
 *   init test SECONDS		every command of /tests/list in turn, each for at most
 *				SECONDS; then unloads the module, loads it again, and
 *				looks for memory that it has lost
 *   init show PROGRAM [ARG...]	one program
 *
 * In that list a command is a line: a program of /tests and its arguments, if any, with
 * colons between.
 *
 * A report is what the programs print, with lines of init's own between, which
 * begin with ">>> ". The last one is ">>> done".
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the tests count as well. */
#include "../tools/testing/selftests/pinseal/lib/machine_pins.h"

#define PORT_NAME	"org.pinseal.tap"
#define MODULE		"pinseal"
#define MODULE_FILE	"/pinseal.ko"

static int port = -1;

/* One line of the report. What a program printed last may lack a line's end. */
static void report(const char *format, ...)
{
	va_list args;

	if (port < 0)
		return;
	va_start(args, format);
	dprintf(port, "\n>>> ");
	vdprintf(port, format, args);
	dprintf(port, "\n");
	va_end(args);
}

static void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);	/* not reached; the kernel panics, which is seen */
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

/* Into the kernel's log, loud enough for the console: whose fault what follows is. */
static void mark_log(const char *what, const char *name)
{
	char line[160];

	snprintf(line, sizeof(line), "<4>pinseal-init: %s %s\n", what, name);
	write_file("/dev/kmsg", line);
}

static void mount_at(const char *type, const char *path)
{
	mkdir(path, 0755);
	if (mount(type, path, type, 0, NULL))
		fprintf(stderr, "mount %s: %s\n", path, strerror(errno));
}

static void mount_all(void)
{
	mount_at("devtmpfs", "/dev");
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("debugfs", "/sys/kernel/debug");
	mount_at("tracefs", "/sys/kernel/tracing");
	mount_at("cgroup2", "/sys/fs/cgroup");
	mount_at("devpts", "/dev/pts");
	mount_at("tmpfs", "/dev/shm");
	mount_at("tmpfs", "/tmp");
}

/* Opens the port by its name, when the driver has found it. */
static int open_port(void)
{
	char path[64], name[64];
	int id, fd;

	for (int tries = 0; tries < 1000; tries++) {
		for (id = 0; id < 8; id++) {
			snprintf(path, sizeof(path), "/sys/class/virtio-ports/vport0p%d/name", id);
			fd = open(path, O_RDONLY);
			if (fd < 0)
				continue;
			memset(name, 0, sizeof(name));
			if (read(fd, name, sizeof(name) - 1) < 0)
				name[0] = 0;
			close(fd);
			if (strcmp(name, PORT_NAME "\n"))
				continue;
			snprintf(path, sizeof(path), "/dev/vport0p%d", id);
			return open(path, O_WRONLY | O_CLOEXEC);
		}
		usleep(10000);
	}
	return -1;
}

static int load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

static bool load_ours(void)
{
	int ret;

	mark_log("load", MODULE);
	ret = load(MODULE_FILE);
	if (ret)
		report("load failed: %s", strerror(-ret));
	return !ret;
}

static bool unload_ours(void)
{
	mark_log("unload", MODULE);
	if (!syscall(SYS_delete_module, MODULE, O_NONBLOCK))
		return true;
	report("unload failed: %s", strerror(errno));
	return false;
}

static int no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The sorted names in a folder; their number, 0 if there is no such folder. */
static int list(const char *folder, struct dirent ***names)
{
	int n = scandir(folder, names, no_dots, alphasort);

	return n < 0 ? 0 : n;
}

/* The kernel modules that the guest needs, in the order of their names. */
static void load_others(void)
{
	struct dirent **names;
	char path[300];
	int n = list("/modules", &names);

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/modules/%s", names[i]->d_name);
		int ret = load(path);

		if (ret)
			report("load failed: %s: %s", names[i]->d_name, strerror(-ret));
	}
}

static unsigned long taint(void)
{
	return read_number("/proc/sys/kernel/tainted");
}

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Reaps until @pid has ended (true) or the time is over. SIGCHLD is blocked. */
static bool reap_until(pid_t pid, int *status, long deadline_ms)
{
	struct timespec ts;
	sigset_t child;
	long left;
	pid_t got;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		int this_status;

		while ((got = waitpid(-1, &this_status, WNOHANG)) > 0) {
			if (got != pid)
				continue;
			*status = this_status;
			return true;
		}
		left = deadline_ms - now_ms();
		if (left <= 0)
			return false;
		ts = (struct timespec){ left / 1000, left % 1000 * 1000000 };
		sigtimedwait(&child, NULL, &ts);
	}
}

/* Ends everything that a program left behind. */
static void sweep(void)
{
	long deadline = now_ms() + 10000;

	kill(-1, SIGKILL);
	while (now_ms() < deadline && waitpid(-1, NULL, WNOHANG) >= 0)
		usleep(1000);
	umount2("/tmp", MNT_DETACH);
	mount_at("tmpfs", "/tmp");
}

/*
 * What a program must not leave behind: a file or mapping of the module's, and pins. Some go
 * late, by a worker, after a grace period.
 */
static void check_left(const char *name)
{
	long deadline = now_ms() + 10000;
	long users, left;

	while ((users = read_number("/sys/module/" MODULE "/refcnt")) > 0 && now_ms() < deadline)
		usleep(10000);
	if (users > 0)
		report("left %s the module in use, %ld times", name, users);
	while ((left = machine_pins()) && now_ms() < deadline)
		usleep(10000);
	if (left)
		report("left %s pages pinned, %ld times", name, left);
}

static void become(char *const argv[])
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	dup2(null, 0);
	dup2(port, 1);
	dup2(port, 2);
	if (chdir("/tmp") == 0)
		execv(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/*
 * Runs one program within a time limit, 0 for none; @name is what it is called in the
 * report. False if it cannot even be killed: then the guest is of no use any more.
 */
static bool run(const char *name, char *const argv[], int seconds)
{
	long start = now_ms();
	char how[32];
	int status;
	bool ended;
	pid_t pid;

	report("begin %s", name);
	mark_log("begin", name);
	pid = fork();
	if (pid == 0)
		become(argv);

	ended = reap_until(pid, &status, seconds ? start + seconds * 1000L : INT64_MAX);
	if (!ended) {
		snprintf(how, sizeof(how), "timeout %d", seconds);
		mark_log("timeout", name);
		write_file("/proc/sysrq-trigger", "w");
		kill(-1, SIGKILL);
		ended = reap_until(pid, &status, now_ms() + 10000);
		if (!ended)
			snprintf(how, sizeof(how), "stuck %d", seconds);
	} else if (WIFSIGNALED(status)) {
		snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
	} else {
		snprintf(how, sizeof(how), "exit %d", WEXITSTATUS(status));
	}
	long took = now_ms() - start;

	sweep();
	check_left(name);
	mark_log("end", name);
	report("end %s %s ms %ld taint %lu", name, how, took, taint());
	return ended;
}

#define KMEMLEAK	"/sys/kernel/debug/kmemleak"

/* What nobody points to before the tests is not ours. */
static void forget_leaks(void)
{
	write_file(KMEMLEAK, "scan");
	write_file(KMEMLEAK, "clear");
}

/* The module is gone: whatever it allocated and nobody points to is lost. */
static void report_leaks(void)
{
	char line[256];
	FILE *f;

	if (access(KMEMLEAK, F_OK))
		return;
	/* What is younger than some seconds is not told; what moves may be missed once. */
	sleep(6);
	write_file(KMEMLEAK, "scan");
	write_file(KMEMLEAK, "scan");
	f = fopen(KMEMLEAK, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		report("leak %s", line);
	}
	if (f)
		fclose(f);
}

/* Runs one line of the list. */
static bool run_test(const char *command, int seconds)
{
	char text[128], path[128], *rest = text, *argv[8];
	int n = 1;

	snprintf(text, sizeof(text), "%s", command);
	snprintf(path, sizeof(path), "/tests/%s", strsep(&rest, ":"));
	argv[0] = path;
	while (rest && n < 7)
		argv[n++] = strsep(&rest, ":");
	argv[n] = NULL;
	return run(command, argv, seconds);
}

static void test(int seconds)
{
	FILE *list = fopen("/tests/list", "re");
	char line[100];

	if (!list) {
		report("no list of tests: %s", strerror(errno));
		return;
	}
	forget_leaks();
	while (fgets(line, sizeof(line), list)) {
		line[strcspn(line, "\n")] = '\0';
		if (!run_test(line, seconds))
			return;
	}
	fclose(list);
	if (unload_ours() && load_ours() && unload_ours()) {
		report_leaks();
		report("reload ok taint %lu", taint());
	}
}

int main(int argc, char **argv)
{
	struct utsname uts;
	sigset_t child;

	mount_all();
	port = open_port();
	if (port < 0 || argc < 3) {
		fprintf(stderr, "pinseal-init: no port '%s', or nothing to do\n", PORT_NAME);
		power_off();
	}
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);

	uname(&uts);
	report("boot %s %s", uts.machine, uts.release);
	load_others();
	if (load_ours()) {
		report("loaded taint %lu", taint());
		if (!strcmp(argv[1], "test"))
			test(atoi(argv[2]));
		else
			run(strrchr(argv[2], '/') + 1, argv + 2, 0);
	}
	report("done");
	power_off();
}
