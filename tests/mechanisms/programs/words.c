/* Prints the words that it is started with, but the last, each with a bar behind it. */
#include <stdio.h>

int main(int count, char **words)
{
	for (int i = 0; i < count - 1; i++)
		printf("%s|", words[i]);
	return 0;
}
