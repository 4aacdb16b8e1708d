// Package golden holds what a program prints against files that people have read and found good.
//
// Owns: the comparison, and the flag -update that rewrites the files. Does not know: what is compared.
// Promises: a difference fails the test and shows both texts. Start reading at Check.
package golden
