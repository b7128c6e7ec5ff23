/**
 * The artifact store: what is dear to make again, kept on disk under what it was made from and for.
 *
 * <p>{@code (piece, range, …) → hash → bytes}, in a directory that any number of processes and threads share:
 *
 * <pre>
 * index/HASH-OF-KEY    JSON: the key's factors, the object's hash and length, a checksum
 * objects/SHA-256      the bytes; equal bytes are there once
 * </pre>
 *
 * <p>A file is written under another name in its directory, synced, and renamed, so a reader sees all of it or none
 * of it; everything read is checked. Whatever is wrong with a file, a directory or a disk is a miss with a reason, or a
 * put that does not happen: the store never throws because of what it finds.
 */
package dev.intarsia.artifact;
