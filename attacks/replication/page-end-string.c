// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a name whose NUL is the last byte before an unmapped page is judged
 * like any other (catalogue A14).
 *
 *	page N		page N+1
 *	.../denied\0	(unmapped)
 *
 * The kernel copies up to the NUL. A reader that fetches words, or a whole
 * PATH_MAX at once, gets an error or a short answer; an enforcer that lets a
 * call through whose name it cannot read has let the denied name through.
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "attack.h"

static const char *at_page_end(const char *name)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t length = strlen(name) + 1;
	size_t pages = (length + page - 1) / page;
	char *memory = shared_memory((pages + 1) * page);
	char *end = memory + pages * page;

	if (munmap(end, page))
		broken("munmap: %s", strerror(errno));
	return memcpy(end - length, name, length);
}

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	switch (run.mode) {
	case MODE_BENIGN:
		run_plain_read(&run, at_page_end(run.allowed));
		break;
	case MODE_DIRECT:
		run_plain_read(&run, run.denied);
		break;
	case MODE_ATTACK:
		run_plain_read(&run, at_page_end(run.denied));
		break;
	}
	run_end(&run);
}
