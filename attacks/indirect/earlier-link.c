// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claim: a hard link that was made before the enforcer began is no way to the
 * denied file (catalogue B8).
 *
 *	DIR/link	the denied file's, since before the run
 *	openat(DIR/link)
 *
 * Winning prints DATA and the content of the denied file.
 */
#include "earlier.h"

int main(int argc, char **argv)
{
	struct run run = run_begin(argc, argv);

	run_earlier_link(&run);
	run_end(&run);
}
