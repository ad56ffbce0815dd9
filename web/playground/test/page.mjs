// As much of a document as the Markdown needs, and no more; `html` shows what it became.

class Node {
  parent = null;
  children = [];
  append(...nodes) {
    for (const node of nodes) {
      this.appendChild(node);
    }
  }
  appendChild(node) {
    node.remove();
    node.parent = this;
    this.children.push(node);
  }
  remove() {
    if (this.parent !== null) {
      this.parent.children.splice(this.parent.children.indexOf(this), 1);
      this.parent = null;
    }
  }
  /** Whoever holds a node here looks at it. */
  get isConnected() {
    return true;
  }
  get firstChild() {
    return this.children[0] ?? null;
  }
}

class Text extends Node {
  constructor(data) {
    super();
    this.data = data;
  }
  appendData(more) {
    this.data += more;
  }
}

class Element extends Node {
  attributes = {};
  constructor(tag) {
    super();
    this.tag = tag;
  }
  addEventListener() {}
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  get childElementCount() {
    return this.children.filter((one) => one instanceof Element).length;
  }
  querySelector(tag) {
    return elements(this).find((one) => one.tag === tag) ?? null;
  }
}

globalThis.Node = Node;
globalThis.Text = Text;
globalThis.document = {
  hidden: false,
  createElement: (tag) => new Element(tag),
  createTextNode: (data) => new Text(data),
};

/** The next frame is now, but for a test that waits for it. */
globalThis.requestAnimationFrame = (frame) => frame();

export function elements(root) {
  return root.children.flatMap((one) => (one instanceof Element ? [one, ...elements(one)] : []));
}

/** Text that was cut differently is the same text. */
export function html(node) {
  if (node instanceof Text) {
    return node.data.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  }
  const names = Object.entries(node.attributes).map(([name, value]) => ` ${name}="${value}"`);
  return `<${node.tag}${names.join('')}>${node.children.map(html).join('')}</${node.tag}>`;
}
