// nft runs the real nft of the directory nft.d beside this program, with that directory's own loader and libraries,
// so that the host needs neither nftables nor a matching C library.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The host's library settings must not reach a program that brings its own libraries.
static void forget_host_libraries(void) {
	unsetenv("LD_PRELOAD");
	unsetenv("LD_LIBRARY_PATH");
	unsetenv("LD_AUDIT");
}

int main(int argc, char **argv) {
	char directory[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", directory, sizeof directory - sizeof "/nft.d");
	if (length < 0) {
		fprintf(stderr, "nft: find my own directory through /proc/self/exe: %s\n", strerror(errno));
		return 127;
	}
	directory[length] = '\0';
	strcpy(strrchr(directory, '/'), "/nft.d"); // the link is absolute, so a slash is there

	char loader[PATH_MAX + 8], program[PATH_MAX + 8];
	snprintf(loader, sizeof loader, "%s/ld.so", directory);
	snprintf(program, sizeof program, "%s/nft", directory);

	char *fixed[] = {loader, "--inhibit-cache", "--library-path", directory, "--argv0", "nft", program};
	size_t count = sizeof fixed / sizeof fixed[0], given = argc > 1 ? (size_t)argc - 1 : 0;
	char **args = calloc(count + given + 1, sizeof *args);
	if (args == NULL) {
		fprintf(stderr, "nft: %s\n", strerror(errno));
		return 127;
	}
	memcpy(args, fixed, sizeof fixed);
	if (given > 0)
		memcpy(args + count, argv + 1, given * sizeof *args);

	forget_host_libraries();
	execv(loader, args);
	fprintf(stderr, "nft: run %s: %s; to cure: remove the directory above it, the next start unpacks it again\n", loader, strerror(errno));
	return 127;
}
