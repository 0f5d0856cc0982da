/**
 * The flags of Node.js that the program is started with, wherever there is no launcher to give them;
 * bin/trow has them too. The young generation is kept at 4 MiB: bodies of pushes come in pieces of
 * 64 KiB, which are garbage once they are written and are only freed when it is full. Left to grow to
 * 16 MiB it held tens of MiB of them (docs/decisions/0018-memory.md).
 */
export const runtimeFlags: readonly string[] = ['--max-semi-space-size=4']
