// Calls a server of MCP without a token, with a client from npm that gets one for itself: that of `@modelcontextprotocol/sdk`,
// or that of `@modelcontextprotocol/client`. Takes `{client, url}` as JSON on standard input, prints what the tool has said.

import { text } from 'node:stream/consumers';

const { client: name, url } = JSON.parse(await text(process.stdin));

const packages = {
  async sdk() {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const { ClientCredentialsProvider } = await import('@modelcontextprotocol/sdk/client/auth-extensions.js');
    return { Client, Transport: StreamableHTTPClientTransport, ClientCredentialsProvider };
  },
  async client() {
    const found = await import('@modelcontextprotocol/client');
    return { ...found, Transport: found.StreamableHTTPClientTransport };
  },
};
const { Client, Transport, ClientCredentialsProvider } = await packages[name]();

const authProvider = new ClientCredentialsProvider({
  clientId: 'agent-of-the-test',
  clientSecret: 'word-of-the-test',
});
const client = new Client({ name: 'test', version: '1' });
await client.connect(new Transport(new URL(url), { authProvider }));
const result = await client.callTool({ name: 'e2e', arguments: { text: 'one two' } });
console.log(JSON.stringify(result.content[0].text));
await client.close();
