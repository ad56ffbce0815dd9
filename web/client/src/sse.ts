// Server-Sent Events, read from bytes that may be cut anywhere.

const MAX_FRAME_CHARACTERS = 64 * 1024 * 1024;

export interface Frame {
  event: string;
  data: string;
  /** What stands in the frame itself; the standard's "last event id" is the reader's to keep. */
  id: string | undefined;
}

/** `feed` gives the frames that are whole; one that is not when the stream ends is none, as the standard says. */
export class FrameReader {
  /** What the server asks clients to wait before they come back. */
  retryMs: number | undefined;

  // Takes a byte order mark off the start, and keeps half a character for the next call.
  readonly #decoder = new TextDecoder();
  #line = '';
  #afterReturn = false;
  #event = '';
  #data: string | undefined;
  #id: string | undefined;

  feed(bytes: Uint8Array): Frame[] {
    const text = this.#decoder.decode(bytes, { stream: true });
    const frames: Frame[] = [];
    let start = 0;
    if (this.#afterReturn && text !== '') {
      this.#afterReturn = false;
      // A line break of two characters that came in two pieces.
      start = text.startsWith('\n') ? 1 : 0;
    }
    let newline = text.indexOf('\n', start);
    let carriage = text.indexOf('\r', start);
    while (newline !== -1 || carriage !== -1) {
      const isReturn = carriage !== -1 && (newline === -1 || carriage < newline);
      const end = isReturn ? carriage : newline;
      this.#take(this.#line + text.slice(start, end), frames);
      this.#line = '';
      start = end + 1;
      if (isReturn) {
        if (newline === start) {
          start += 1;
        } else if (start === text.length) {
          this.#afterReturn = true;
        }
        carriage = text.indexOf('\r', start);
      }
      if (newline !== -1 && newline < start) {
        newline = text.indexOf('\n', start);
      }
    }
    this.#line += text.slice(start);
    if (this.#line.length + (this.#data?.length ?? 0) > MAX_FRAME_CHARACTERS) {
      throw new RangeError(`an event of the stream is longer than ${MAX_FRAME_CHARACTERS} characters`);
    }
    return frames;
  }

  #take(line: string, frames: Frame[]): void {
    if (line === '') {
      if (this.#data !== undefined) {
        frames.push({ event: this.#event || 'message', data: this.#data, id: this.#id });
      }
      this.#event = '';
      this.#data = this.#id = undefined;
      return;
    }
    const colon = line.indexOf(':');
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    switch (field) {
      case 'data':
        this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
        break;
      case 'event':
        this.#event = value;
        break;
      case 'id':
        if (!value.includes('\0')) {
          this.#id = value;
        }
        break;
      case 'retry':
        if (/^\d{1,9}$/.test(value)) {
          this.retryMs = Number(value);
        }
        break;
      // What begins with a colon is a comment, and what is not known is to be skipped.
    }
  }
}
