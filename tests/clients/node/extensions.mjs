// AppAuth-JS leaves file endings to a bundler: `./logger` is `./logger.js`, `../node_support` a folder.

export async function resolve(specifier, context, next) {
  if (!specifier.startsWith('.') || specifier.endsWith('.js')) return next(specifier, context);
  try {
    return await next(`${specifier}.js`, context);
  } catch {
    return next(`${specifier}/index.js`, context);
  }
}
