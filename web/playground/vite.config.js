// The playground is two files of the Python package; `--outDir` builds them elsewhere.

import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

export default {
  root: here('.'),
  base: './',
  publicDir: false,
  logLevel: 'warn',
  resolve: { alias: { 'dockrion-client': here('../client/src/index.ts') } },
  build: {
    outDir: here('../../src/dockrion/runtime/static/playground'),
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    rolldownOptions: {
      input: here('src/main.ts'),
      output: { entryFileNames: 'playground.js', assetFileNames: 'playground[extname]' },
    },
  },
};
