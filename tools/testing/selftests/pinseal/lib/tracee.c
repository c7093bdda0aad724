// SPDX-License-Identifier: GPL-2.0-only
#include "tracee.h"

pid_t trace_child(void (*then)(char *p), char *p)
{
	pid_t pid = ps_fork();
	int status;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		if (then)
			then(p);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) ? pid : -1;
}
