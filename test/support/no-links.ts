// For tests that are not about the record of manifests and tags beside the database.

export const noLinks = { sync: () => Promise.resolve() }
