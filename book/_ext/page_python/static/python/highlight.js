// Python code in the kinds that Pygments knows, under its names, which the book's style sheet colours.
import { pythonLanguage } from "./codemirror.js";

const OF_NODES = {
  Comment: "c1",
  Number: "mi",
  Boolean: "kc",
  None: "kc",
  String: "s2",
  FormatString: "s2",
  Escape: "se",
  FormatReplacement: "si",
  FormatSelfDoc: "si",
  FormatConversion: "si",
  FormatSpec: "si",
  At: "nd",
  Ellipsis: "o",
  TypeDef: "o", // what it has of its own is an arrow
};
for (const word of "from import".split(" ")) OF_NODES[word] = "kn";
for (const word of "and in is not or".split(" ")) OF_NODES[word] = "ow";
const KEYWORDS =
  "as assert async await break case class continue def del elif else except finally for global if lambda match " +
  "nonlocal pass print raise return try type while with yield";
for (const word of KEYWORDS.split(" ")) OF_NODES[word] = "k";
for (const sign of "( ) [ ] { } , : ;".split(" ")) OF_NODES[sign] = "p";
const OPERATORS = "ArithOp AssignOp BitOp CompareOp LogicOp UpdateOp @ * **";
for (const sign of OPERATORS.split(" ")) OF_NODES[sign] = "o";

// Of these Pygments knows what they are wherever they stand, but after a dot.
const OF_WORDS = new Map();
const BUILT_IN =
  "__import__ abs aiter all any bin bool breakpoint bytearray bytes callable chr classmethod compile complex delattr " +
  "dict dir divmod enumerate eval filter float format frozenset getattr globals hasattr hash hex id input int " +
  "isinstance issubclass iter len list locals map max memoryview min next object oct open ord pow print property " +
  "range repr reversed round set setattr slice sorted staticmethod str sum super tuple type vars zip";
const ERRORS =
  "Arithmetic Assertion Attribute BlockingIO BrokenPipe Buffer ChildProcess ConnectionAborted Connection " +
  "ConnectionRefused ConnectionReset EOF Environment FileExists FileNotFound FloatingPoint IO Import Indentation Index " +
  "Interrupted IsADirectory Key Lookup Memory ModuleNotFound Name NotADirectory NotImplemented OS Overflow " +
  "Permission ProcessLookup Recursion Reference Runtime Syntax System Tab Timeout Type UnboundLocal UnicodeDecode " +
  "UnicodeEncode Unicode UnicodeTranslate Value ZeroDivision";
const WARNINGS = "Bytes Deprecation Encoding Future Import PendingDeprecation Resource Runtime Syntax Unicode User";
const EXCEPTIONS = "BaseException Exception GeneratorExit KeyboardInterrupt StopAsyncIteration StopIteration SystemExit Warning";
for (const word of BUILT_IN.split(" ")) OF_WORDS.set(word, "nb");
for (const word of ERRORS.split(" ")) OF_WORDS.set(`${word}Error`, "ne");
for (const word of WARNINGS.split(" ")) OF_WORDS.set(`${word}Warning`, "ne");
for (const word of EXCEPTIONS.split(" ")) OF_WORDS.set(word, "ne");
for (const word of ["self", "cls", "Ellipsis", "NotImplemented"]) OF_WORDS.set(word, "bp");

const MAGIC_FUNCTIONS =
  /^__(a?(enter|exit|iter|next)|await|[ri]?(add|and|divmod|floordiv|lshift|matmul|mod|mul|or|pow|rshift|sub|truediv|xor)|abs|bool|bytes|call|complex|contains|del(attr|ete|item)?|dir|eq|float|format|g[et]|get(attr|attribute|item)?|hash|index|init|instancecheck|int|invert|l[et]|len|length_hint|missing|neg?|new|pos|prepare|repr|reversed|round|set(attr|item)?|str|subclasscheck)__$/;
const MAGIC_VARIABLES =
  /^__(annotations|bases|class|closure|code|defaults|dict|doc|file|func|globals|kwdefaults|module|mro|name|objclass|qualname|self|slots|weakref)__$/;

function ofName(node, text) {
  if (MAGIC_VARIABLES.test(text)) return "vm";
  const { parent, prevSibling } = node.node;
  const before = prevSibling?.name;
  if (MAGIC_FUNCTIONS.test(text)) return "fm";
  if (before === "def") return "nf";
  if (before === "class") return "nc";
  if (parent.name === "Decorator" && before === "At") return "nd";
  if (parent.name === "ImportStatement" && (before === "from" || parent.firstChild.name === "import")) return "nn";
  return (node.name === "VariableName" && OF_WORDS.get(text)) || "n";
}

function ofNode(node, read) {
  const { name } = node;
  if (name === "VariableName" || name === "PropertyName") return ofName(node, read(node.from, node.to));
  if (name === "print") return "nb";
  if (name === "Number") return /^[\d_]+$|^0x/i.test(read(node.from, node.to)) ? "mi" : "mf";
  if ("{:}".includes(name)) return /^Format/.test(node.node.parent.name) ? "si" : "p";
  if (name === ".") return node.node.parent.name === "ImportStatement" ? "nn" : "o";
  return OF_NODES[name] ?? "";
}

// Calls `put(from, to, kind)` for each piece of a syntax tree that has a kind, in their order.
// A piece within another, such as an expression within a string, divides it.
export function pieces(tree, read, put, from = 0, to = tree.length) {
  const open = [];
  const close = (one, end) => {
    if (one.kind && end > one.at) put(one.at, end, one.kind);
    one.at = end;
  };
  tree.iterate({
    from,
    to,
    enter(node) {
      const around = open.at(-1);
      if (around) close(around, node.from);
      open.push({ kind: ofNode(node, read), at: node.from });
    },
    leave(node) {
      close(open.pop(), node.to);
      const around = open.at(-1);
      if (around) around.at = node.to;
    },
  });
}

// Give code as marked text, for a place with the class "highlight".
export function highlight(code) {
  const marked = document.createDocumentFragment();
  let at = 0;
  const put = (from, to, kind) => {
    if (from > at) marked.append(code.slice(at, from));
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = code.slice(from, to);
    marked.append(span);
    at = to;
  };
  pieces(pythonLanguage.parser.parse(code), (from, to) => code.slice(from, to), put);
  marked.append(code.slice(at));
  return marked;
}

export const KINDS = [...new Set([...Object.values(OF_NODES), ...OF_WORDS.values(), "fm", "mf", "n", "nc", "nf", "nn", "vm"])].filter(Boolean);
