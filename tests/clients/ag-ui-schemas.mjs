// Holds events against the schemas of `@ag-ui/core`. Takes a list of streams, each a list of events, as JSON on standard
// input; prints one JSON object: the kinds of events that were seen, and what the schemas say of those that do not fit or
// have fields that they do not know.

import { text } from 'node:stream/consumers';

import { EventSchema } from '@ag-ui/core/schemas';

/** Name the fields of a value that its schema does not have; where it may be one of several, those of the best. */
function unknown(schema, value, at) {
  const { type, innerType, element, options, shape } = schema.def;
  switch (type) {
    case 'optional':
    case 'nullable':
    case 'default':
      return value == null ? [] : unknown(innerType, value, at);
    case 'array':
      return value.flatMap((one, number) => unknown(element, one, `${at}[${number}]`));
    case 'union':
      return options
        .filter((one) => one.safeParse(value).success)
        .map((one) => unknown(one, value, at))
        .sort((one, other) => one.length - other.length)[0];
    case 'object':
      return Object.entries(value).flatMap(([name, one]) =>
        name in shape ? unknown(shape[name], one, `${at}.${name}`) : [`${at}.${name}`],
      );
    default:
      return [];
  }
}

const kinds = new Set();
const wrong = [];
for (const event of JSON.parse(await text(process.stdin)).flat()) {
  kinds.add(event.type);
  const { success, error } = EventSchema.safeParse(event);
  if (success) {
    wrong.push(...unknown(EventSchema, event, event.type));
  } else {
    wrong.push(`${event.type}: ${error.message}`);
  }
}
process.stdout.write(JSON.stringify({ kinds: [...kinds].sort(), wrong }));
