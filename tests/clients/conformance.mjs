// Runs the command of `@modelcontextprotocol/conformance` as it is, but for two things: it calls the one tool that there
// is, `e2e`, with the name of the tool that it wants as the argument `do`; and it takes a Node.js without `fs.globSync`.

import { register } from 'node:module';

const hooks = `
const suite = (url) => url?.includes('/conformance/dist/') ?? false;
const fs = 'export * from "node:fs"; export const globSync = undefined;';

export async function resolve(specifier, context, next) {
  return specifier === 'fs' && suite(context.parentURL)
    ? { url: 'data:text/javascript,' + encodeURIComponent(fs), shortCircuit: true }
    : next(specifier, context);
}

export async function load(url, context, next) {
  const loaded = await next(url, context);
  if (!suite(url)) {
    return loaded;
  }
  const source = loaded.source
    .toString()
    .replace(/(callTool\\({|tools\\/call\`,params:{)name:\`(test_\\w+)\`,arguments:{/g, '$1name:\`e2e\`,arguments:{do:\`$2\`,')
    .replace(/callTool\\({name:\`(test_\\w+)\`}/g, 'callTool({name:\`e2e\`,arguments:{do:\`$1\`}}')
    .replace(/\`json_schema_2020_12_tool\`/g, '\`e2e\`');
  return { ...loaded, source };
}`;

register(`data:text/javascript,${encodeURIComponent(hooks)}`);
await import('./node_modules/@modelcontextprotocol/conformance/dist/index.js');
