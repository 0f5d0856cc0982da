// A port with one of its methods replaced, for tests about a single moment in it.

/** The object with one method replaced; the others are its own. */
export function withMethod<T extends object, K extends keyof T>(
  whole: T,
  name: K,
  method: T[K],
): T {
  return new Proxy(whole, {
    get: (target, key) => {
      if (key === name) return method
      const value: unknown = Reflect.get(target, key)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
