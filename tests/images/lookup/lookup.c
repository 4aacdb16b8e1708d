/* Asks the C library's resolver for a name's addresses, or for an address' name, as most programs do. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static int fail(int code) {
	printf("%s\n", gai_strerror(code));
	return 1;
}

int main(int count, char **words) {
	if (count != 2) {
		fprintf(stderr, "usage: lookup NAME | ADDRESS\n");
		return 2;
	}
	struct addrinfo *found, hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
	char text[NI_MAXHOST];
	if (getaddrinfo(words[1], NULL, &hints, &found) == 0) {
		int code = getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0, NI_NAMEREQD);
		if (code != 0)
			return fail(code);
		puts(text);
		return 0;
	}
	hints.ai_flags = 0;
	int code = getaddrinfo(words[1], NULL, &hints, &found);
	if (code != 0)
		return fail(code);
	for (; found != NULL; found = found->ai_next) {
		if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
			puts(text);
	}
	return 0;
}
