// The one place where elements are made. Children that are strings become text: what a token holds is never read as HTML.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const get = (id) => document.getElementById(id);

// A number to three digits.
function digits(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const text = size === 0 ? "0" : size < 1e-3 ? size.toExponential(2) : size < 999.5 ? size.toPrecision(3) : `${+size.toPrecision(3)}`;
  return (value < 0 ? "−" : "") + text.replace("-", "−");
}

// What is drawn for a character without a shape: a sign for those that are common, the code point of others.
function mark(character) {
  const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return { " ": "␣", "\n": "¶", "\t": "⇥" }[character] ?? `U+${code}`;
}

// A token as [characters, whether they are marks] in order. A space before a word is left to the gap between tokens.
function pieces(token) {
  const word = token.replace(/^ (?=\S)/, "").replace(/^(?=\p{M})/u, "◌");
  const parts = word.split(/([\p{C}\p{Z}])/u).map((part, place) => (place % 2 ? [mark(part), true] : [part, false]));
  return word ? parts.filter(([part]) => part) : [["∅", true]];
}

const spell = (token) => pieces(token).map(([part]) => part).join("");

// A token's element in the text: after a gap if it begins with a space, and before a new line if it has one.
const inText = (token, element) => [...(/^ \S/.test(token) ? [" "] : []), element, ...(token.includes("\n") ? [make("br")] : [])];
const wordOf = (token, sign) => pieces(token).map(([part, marked]) => (marked ? make("span", { class: sign }, part) : part));

// The token on the next line, or the one before, that is nearest in the line; undefined at the text's ends.
function acrossLines(tokens, position, way) {
  const boxes = tokens.map((token) => token.getClientRects()[0]);
  const [here, centre] = [boxes[position], (box) => (box.left + box.right) / 2];
  const below = (box, other) => way * (box.top - other.top) > here.height / 2;
  const beyond = boxes.filter((box) => below(box, here));
  const line = beyond.filter((box) => !beyond.some((other) => below(box, other)));
  return boxes.indexOf(line.sort((a, b) => Math.abs(centre(a) - centre(here)) - Math.abs(centre(b) - centre(here)))[0]);
}

// Moves the focus among tokens by arrows, Home and End.
function move(event, tokens, current) {
  if (event.altKey || event.ctrlKey || event.metaKey || current === null) return;
  const to = {
    ArrowLeft: () => current - 1,
    ArrowRight: () => current + 1,
    ArrowUp: () => acrossLines(tokens, current, -1),
    ArrowDown: () => acrossLines(tokens, current, 1),
    Home: () => 0,
    End: () => tokens.length - 1,
  }[event.key];
  if (!to) return;
  event.preventDefault();
  tokens[to()]?.focus();
}
