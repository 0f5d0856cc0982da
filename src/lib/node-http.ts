/**
 * `node:http` without its WebSocket. An `import` of one of Node's own modules reads all that it exports, and
 * for that class, which nothing here uses, `node:http` loads another whole HTTP client: 4 MiB of memory.
 */
export const { createServer, STATUS_CODES } = process.getBuiltinModule('node:http')
