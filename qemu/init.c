// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's init: loads the modules, runs programs, and reports over a virtio-serial
 * port. The kernel's console is not the report, and a missing report is not a result.
 *
 *   init test			runs the tests that the host names, until it names none; then
 *				unloads the module, loads it again, and checks for leaked
 *				memory
 *   init show PROGRAM [ARG...]	runs one program
 *
 * A report is what the programs print, with lines of init's own between that begin with
 * ">>> ". The last one is ">>> done". To ">>> next" the host answers over the same port with
 * a line "TEST SECONDS", or an empty one when no test is left. A test is a program of
 * /tests and its arguments, if any, separated by colons; it is killed after SECONDS.
 *
 * Without a module file pinseal is built into the kernel. Init then uses it before anything else, and
 * does not unload it.
 *
 * As /sbin/modprobe, which the kernel calls for file systems and ciphers that it lacks, it loads the
 * modules of the folder /on-demand/NAME.
 *
 * The kernel passes NAME=VALUE of its command line to init's environment, and init passes
 * that to the programs. PINSEAL_PORT is a serial line in place of the virtio-serial port, of machines
 * that have no virtio (user-mode Linux).
 *
 * Modules and programs are in the folder that init is in. Where another program is init
 * (virtme-ng's), this one reports to its standard output, has the answers from its standard
 * input, and leaves it to the other to power off.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <linux/pinseal.h>

/* What the tests count as well. */
#include "../tools/testing/selftests/pinseal/lib/machine_pins.h"

#define PORT_NAME	"org.pinseal.tap"
#define MODULE		"pinseal"

/* The report, and what answers it. */
static int port = -1, answers = -1;

/* The folder with modules and programs; "" is that of a guest that starts init itself. */
static const char *folder = "";

/* Writes one line of the report. The last line of a program may lack its end. */
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

static bool is_init(void)
{
	return getpid() == 1;
}

static void power_off(void)
{
	if (!is_init())
		exit(0);
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

/*
 * An object before any file system but the first is mounted: pinseal is built into the kernel, and
 * must work from then on. Its device has a number that only sysfs or a try tells. Returns what is
 * wrong, or NULL.
 */
static const char *early_object(void)
{
	struct pinseal_create create = { 0 };
	struct pinseal_info info = { 0 };
	struct pinseal_seal seal = {
		.seals = F_SEAL_WRITE | F_SEAL_SHRINK,
		.timeout_ns = 1000000000,
	};
	int device = -1, fd;
	char c = 'e';

	for (int minor = 0; minor < 1024; minor++) {
		unlink("/early");
		if (mknod("/early", S_IFCHR | 0600, makedev(MISC_MAJOR, minor)))
			continue;
		device = open("/early", O_RDWR | O_CLOEXEC);
		if (device < 0)
			continue;
		if (!ioctl(device, PINSEAL_IOC_INFO, &info))
			break;
		close(device);
		device = -1;
	}
	unlink("/early");
	if (device < 0)
		return "no device";
	fd = ioctl(device, PINSEAL_IOC_CREATE, &create);
	for (int i = 0; i < 2; i++, fd = device) {
		if (pwrite(fd, &c, 1, 0) != 1 || ioctl(fd, PINSEAL_IOC_SEAL, &seal))
			return "an object cannot be written and sealed";
		if (pwrite(fd, &c, 1, 0) != -1 || errno != EPERM)
			return "a sealed object can be written";
		close(fd);
	}
	return NULL;
}

/* Marks in the kernel's log which program the following messages belong to. */
static void mark_log(const char *what, const char *name)
{
	char line[160];

	snprintf(line, sizeof(line), "<4>pinseal-init: %s %s\n", what, name);
	write_file("/dev/kmsg", line);
}

/* EBUSY: it is there already. */
static void mount_at(const char *type, const char *path)
{
	mkdir(path, 0755);
	if (mount(type, path, type, 0, NULL) && errno != EBUSY)
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

static int no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Lists the names in a folder, sorted. Returns their number, 0 without such a folder. */
static int list(const char *path, struct dirent ***names)
{
	int n = scandir(path, names, no_dots, alphasort);

	return n < 0 ? 0 : n;
}

/* Opens a serial line, and has it pass everything on as it is. */
static int open_line(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct termios line;

	if (fd >= 0 && !tcgetattr(fd, &line)) {
		cfmakeraw(&line);
		tcsetattr(fd, TCSANOW, &line);
	}
	return fd;
}

/* Opens the port by its name once the driver has found it. */
static int open_port(void)
{
	struct dirent **ports;
	char path[300], name[64];
	int found = -1;

	for (int tries = 0; tries < 1000 && found < 0; tries++) {
		int n = list("/sys/class/virtio-ports", &ports);

		for (int i = 0; i < n; i++) {
			snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name",
				 ports[i]->d_name);
			if (found < 0 && !read_text(path, name, sizeof(name)) &&
			    !strcmp(name, PORT_NAME)) {
				snprintf(path, sizeof(path), "/dev/%s", ports[i]->d_name);
				found = open(path, O_RDWR | O_CLOEXEC);
			}
			free(ports[i]);
		}
		if (n)
			free(ports);
		if (found < 0)
			usleep(10000);
	}
	return found;
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

static const char *module_file(void)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/" MODULE ".ko", folder);
	return path;
}

static bool load_ours(void)
{
	int ret;

	mark_log("load", MODULE);
	ret = load(module_file());
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

/* Loads the modules of a folder, those that are not there yet, in the order of their names. */
static void load_all(const char *modules)
{
	struct dirent **names;
	char path[600];
	int n = list(modules, &names);

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", modules, names[i]->d_name);
		int ret = load(path);

		if (ret && ret != -EEXIST)
			report("load failed: %s: %s", names[i]->d_name, strerror(-ret));
	}
}

/* Loads the distribution's modules. */
static void load_others(void)
{
	char modules[300];

	snprintf(modules, sizeof(modules), "%s/modules", folder);
	load_all(modules);
}

/* "modprobe -q -- NAME" */
static int modprobe(const char *name)
{
	char modules[300];

	snprintf(modules, sizeof(modules), "/on-demand/%s", name);
	load_all(modules);
	return 0;
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

/* Reaps until @pid has ended (true) or the deadline has passed. SIGCHLD is blocked. */
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

/* Kills the processes that a program left behind, and empties /tmp. */
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
 * Reports files, mappings and pins that a program left behind. A worker may drop the last
 * ones only after a grace period.
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
 * Runs one program, reported as @name, for at most @seconds; 0 means no limit. Returns false
 * if the program survives SIGKILL: the guest is of no further use then.
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

/* Clears the leaks that were there before the tests. */
static void forget_leaks(void)
{
	write_file(KMEMLEAK, "scan");
	write_file(KMEMLEAK, "clear");
}

/* Reports leaks. The module is unloaded: what it allocated and is not referenced is lost. */
static void report_leaks(void)
{
	char line[256];
	FILE *f;

	if (access(KMEMLEAK, F_OK))
		return;
	/* kmemleak ignores objects of the last 5 s; one scan may miss a reference that moves. */
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

/* The longest test, "PROGRAM[:ARG...]", and its number of words. */
#define TEST_LENGTH	1000
#define TEST_WORDS	64

/* Runs one test. */
static bool run_test(const char *test, int seconds)
{
	char text[TEST_LENGTH], path[400 + TEST_LENGTH], *rest = text, *argv[TEST_WORDS + 1];
	int n = 1;

	snprintf(text, sizeof(text), "%s", test);
	snprintf(path, sizeof(path), "%s/tests/%s", folder, strsep(&rest, ":"));
	argv[0] = path;
	while (rest && n < TEST_WORDS)
		argv[n++] = strsep(&rest, ":");
	argv[n] = NULL;
	return run(test, argv, seconds);
}

/* Gets the next test from the host. Returns false if there is none. */
static bool next_test(char test[TEST_LENGTH], int *seconds)
{
	char line[TEST_LENGTH + 16];
	size_t n = 0;

	report("next");
	while (n < sizeof(line) - 1 && read(answers, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	if (!*line)
		return false;
	if (sscanf(line, "%999s %d", test, seconds) == 2)
		return true;
	report("the host asks for a test that is none: %.60s", line);
	return false;
}

static void test(bool built_in)
{
	char name[TEST_LENGTH];
	int seconds;

	forget_leaks();
	while (next_test(name, &seconds)) {
		if (!run_test(name, seconds))
			return;
	}
	if (built_in)
		report("reload ok taint %lu", taint());
	else if (unload_ours() && load_ours() && unload_ours()) {
		report_leaks();
		report("reload ok taint %lu", taint());
	}
}

int main(int argc, char **argv)
{
	char *slash = strrchr(argv[0], '/');
	const char *wrong = NULL;
	struct utsname uts;
	sigset_t child;
	bool built_in;

	if (slash && !strcmp(slash + 1, "modprobe"))
		return modprobe(argv[argc - 1]);
	if (slash) {
		*slash = '\0';
		folder = argv[0];
	}
	/* Parameters that the kernel does not know itself (nokaslr) come first. */
	while (argc > 2 && strcmp(argv[1], "test") && strcmp(argv[1], "show")) {
		argv++;
		argc--;
	}
	built_in = access(module_file(), F_OK);
	if (built_in && is_init())
		wrong = early_object();
	mount_all();
	if (is_init()) {
		const char *line = getenv("PINSEAL_PORT");

		answers = port = line ? open_line(line) : open_port();
	} else {
		answers = fcntl(0, F_DUPFD_CLOEXEC, 3);
		port = fcntl(1, F_DUPFD_CLOEXEC, 3);
		/* What tests leave behind is reaped here. */
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	}
	if (port < 0 || argc < 2) {
		fprintf(stderr, "pinseal-init: no port '%s', or nothing to do\n", PORT_NAME);
		power_off();
	}
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);

	uname(&uts);
	report("boot %s %s", uts.machine, uts.release);
	load_others();
	if (wrong)
		report("before any file system was mounted: %s", wrong);
	if (built_in || load_ours()) {
		report("loaded taint %lu", taint());
		if (!strcmp(argv[1], "test"))
			test(built_in);
		else if (argc > 2)
			run(strrchr(argv[2], '/') + 1, argv + 2, 0);
	}
	report("done");
	power_off();
}
