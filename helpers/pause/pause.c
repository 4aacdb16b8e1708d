// pause is the first process of a pod: it holds the pod's namespaces, buries orphans, and ends at once when told to.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
	if (argc > 1 && strcmp(argv[1], "-v") == 0) {
		puts("pause 1"); // the tag of its image
		return 0;
	}
	// Signals are taken with sigwait, not with handlers: PID 1 has no default actions, and nothing here can be interrupted half-way.
	sigset_t wanted;
	sigemptyset(&wanted);
	sigaddset(&wanted, SIGCHLD);
	sigaddset(&wanted, SIGINT);
	sigaddset(&wanted, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &wanted, NULL) != 0)
		return 1;
	for (;;) {
		int got;
		if (sigwait(&wanted, &got) != 0)
			continue;
		if (got != SIGCHLD)
			return 0;
		// One SIGCHLD may stand for many children.
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
