// The code editor of a cell: CodeMirror in a shadow root, where a page's policy lets it have styles.
import {
  acceptCompletion,
  Annotation,
  autocompletion,
  bracketMatching,
  closeCompletion,
  completionKeymap,
  currentCompletions,
  Decoration,
  EditorState,
  EditorView,
  highlightSpecialChars,
  history,
  historyKeymap,
  indentLess,
  indentMore,
  indentOnInput,
  indentUnit,
  keymap,
  Prec,
  pythonLanguage,
  RangeSetBuilder,
  setSelectedCompletion,
  standardKeymap,
  syntaxTree,
  toggleComment,
  tooltips,
  ViewPlugin,
} from "./codemirror.js";
import { highlight, KINDS, pieces } from "./highlight.js";

export { highlight };

// What a screen reader says of the editor after its name, and what a page may say below it.
export const KEYS = "Shift and Enter run the code. Tab indents; Escape, then Tab leaves the editor.";

const look = new CSSStyleSheet();
look.replaceSync(await (await fetch(new URL("editor.css", import.meta.url))).text());

// The colours of code are those that the page gives it, in the theme that it has now.
const colours = new CSSStyleSheet();
const LETTERS = ["color", "font-style", "font-weight"];

function takeColours() {
  const sample = document.createElement("div");
  sample.className = "highlight";
  sample.hidden = true;
  const marks = KINDS.map((kind) => {
    const mark = document.createElement("span");
    mark.className = kind;
    return mark;
  });
  sample.append(...marks);
  document.body.append(sample);
  const rules = marks.map((mark) => {
    const computed = getComputedStyle(mark);
    const letters = LETTERS.map((name) => `${name}: ${computed.getPropertyValue(name)}`);
    return `.${mark.className} { ${letters.join("; ")} }`;
  });
  sample.remove();
  colours.replaceSync(rules.join("\n"));
}

takeColours();
new MutationObserver(takeColours).observe(document.documentElement, { attributeFilter: ["data-theme"] });

const MARKS = Object.fromEntries(KINDS.map((kind) => [kind, Decoration.mark({ class: kind })]));

const coloured = ViewPlugin.fromClass(
  class {
    constructor(view) {
      this.colour(view);
    }
    update({ docChanged, viewportChanged, view, state }) {
      if (docChanged || viewportChanged || syntaxTree(state) !== this.tree) this.colour(view);
    }
    colour(view) {
      this.tree = syntaxTree(view.state);
      const marks = new RangeSetBuilder();
      const read = (from, to) => view.state.sliceDoc(from, to);
      for (const { from, to } of view.visibleRanges) {
        const put = (start, end, kind) => {
          // A string over many lines begins or ends outside what is seen.
          if (start < to && end > from) marks.add(Math.max(start, from), Math.min(end, to), MARKS[kind]);
        };
        pieces(this.tree, read, put, from, to);
      }
      this.marks = marks.finish();
    }
  },
  { decorations: ({ marks }) => marks },
);

// Completion

const WORD = /[\p{L}\p{N}_]*$/u;
const REST_OF_WORD = /^[\p{L}\p{N}_]*$/u;
const NUMBER = /(^|[^\p{L}\p{N}_])\p{N}[\p{N}_]*\.$/u;
const AFTER_A_VALUE = /[\p{L}\p{N}_)\]}"']\.$/u;
const NEW_NAME = /(^|\s)(as|class|def|for|import|lambda)\s+$/; // the reader is making or spelling one

// Whether what stands before the cursor asks for completion by itself: two letters, or a dot after a value.
function asksByItself(context) {
  const line = context.state.doc.lineAt(context.pos);
  const before = line.text.slice(0, context.pos - line.from);
  const word = WORD.exec(before)[0];
  const rest = before.slice(0, before.length - word.length);
  const node = syntaxTree(context.state).resolveInner(context.pos, -1).name;
  if (/Comment|String|Escape/.test(node) || /^\p{N}/u.test(word) || NUMBER.test(rest)) return false;
  return AFTER_A_VALUE.test(rest) || (word.length >= 2 && !NEW_NAME.test(rest));
}

// Python counts characters, JavaScript counts halves of some of them.
const toPython = (code, at) => [...code.slice(0, at)].length;
const fromPython = (code, at) => [...code].slice(0, at).join("").length;

function completing(complete, lists) {
  let asked = false;
  const source = async (context) => {
    if (!context.explicit && !asksByItself(context)) return null;
    const code = context.state.doc.toString();
    const found = await complete(code, toPython(code, context.pos));
    asked = context.explicit;
    if (!found || found.options.length === 0) return null;
    const from = Math.min(fromPython(code, found.from), context.pos);
    const begun = code.slice(from, context.pos);
    // As more of the word is typed, the list holds. A name with an underscore is offered to who begins so.
    const validFor = (text) => !found.more && REST_OF_WORD.test(text) && (begun !== "" || !text.startsWith("_"));
    return { from, options: found.options, validFor };
  };
  const isOpen = ({ state }) => currentCompletions(state).length > 0;
  return [
    autocompletion({
      override: [source],
      defaultKeymap: false,
      icons: false,
      interactionDelay: 0, // Tab is meant for a list that has just opened, too
      selectOnOpen: false, // so that Enter is a new line until the reader has moved into the list
      tooltipClass: () => "names",
    }),
    tooltips({ parent: lists }),
    EditorView.updateListener.of(({ view }) => {
      if (!isOpen(view)) return;
      if (lists.showPopover && !lists.matches(":popover-open")) lists.showPopover();
      // Who has asked for the list is in it.
      if (asked) queueMicrotask(() => view.dispatch({ effects: setSelectedCompletion(0) }));
      asked = false;
    }),
    Prec.highest(
      keymap.of([
        ...completionKeymap.filter(({ key }) => key !== "Escape"),
        {
          key: "Tab",
          run(view) {
            if (!isOpen(view)) return false;
            if (!acceptCompletion(view)) {
              view.dispatch({ effects: setSelectedCompletion(0) });
              acceptCompletion(view);
            }
            return true;
          },
        },
        {
          key: "Escape",
          run(view) {
            const wasOpen = isOpen(view);
            closeCompletion(view); // one that is still being looked for, too
            return wasOpen;
          },
        },
      ]),
    ),
  ];
}

// The editor

const FOR_EVER = 1e12; // in ms
const byProgram = Annotation.define();
const indent = indentUnit.of("    ");
const withoutTabs = EditorView.clipboardInputFilter.of((text) => {
  return text.replace(/^[ \t]+/gm, (spaces) => spaces.replaceAll("\t", "    "));
});

function keys(onRun) {
  const run = () => {
    onRun?.();
    return true;
  };
  return keymap.of([
    { key: "Shift-Enter", run },
    { key: "Mod-Enter", run },
    { key: "Ctrl-Enter", run },
    { key: "Tab", run: indentMore, shift: indentLess },
    {
      key: "Escape",
      run(view) {
        view.setTabFocusMode(FOR_EVER); // until another key is pressed
        return true;
      },
    },
    { key: "Mod-/", run: toggleComment },
    ...historyKeymap,
    ...standardKeymap,
  ]);
}

// Letters typed over a selection: the browser would give them the colours of what they replace, as a
// style of their own, which a strict policy forbids and reports.
const typedOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const typed = event.inputType === "insertText" && event.data;
    if (!typed || view.composing || view.state.selection.ranges.every(({ empty }) => empty)) return false;
    event.preventDefault();
    view.dispatch(view.state.replaceSelection(typed), { userEvent: "input.type", scrollIntoView: true });
    return true;
  },
});

// Put an editor in the place of an element with still code, whose box it takes over. The element
// stays, hidden, and comes back with destroy().
//
// - label: what the editor is called, for who does not see it
// - complete(code, position): gives, soon or later, { from, options: [{ label, type, detail }], more }
//   or null; both places count characters as Python does, and more says that there are other options
// - onChange(code): the reader has changed the code
// - onRun(): the reader asks to run it
// - onLeave(): the reader has gone elsewhere on the page
export function makeEditor({ place, code, label, complete, onChange, onRun, onLeave }) {
  const element = document.createElement("div");
  element.className = "page-editor";
  const root = element.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [colours, look];

  element.style.margin = getComputedStyle(place).margin;
  const box = getComputedStyle(place.querySelector("pre") ?? place);
  const taken = {
    size: box.fontSize,
    "line-height": parseFloat(box.lineHeight) / parseFloat(box.fontSize) || "",
    padding: box.padding,
    radius: box.borderTopLeftRadius,
  };
  for (const [name, value] of Object.entries(taken)) element.style.setProperty(`--${name}`, value);

  const hint = document.createElement("p");
  Object.assign(hint, { id: "keys", hidden: true, textContent: KEYS });
  const lists = document.createElement("div");
  lists.className = "lists";
  lists.popover = "manual";

  const view = new EditorView({
    root,
    state: EditorState.create({
      doc: code,
      extensions: [
        complete ? completing(complete, lists) : [],
        keys(onRun),
        history(),
        pythonLanguage,
        coloured,
        indent,
        indentOnInput(),
        bracketMatching(),
        highlightSpecialChars(),
        withoutTabs,
        typedOver,
        EditorView.contentAttributes.of({ "aria-label": label, "aria-describedby": hint.id }),
        EditorView.updateListener.of(({ docChanged, transactions, state }) => {
          const byReader = transactions.some((one) => one.docChanged && !one.annotation(byProgram));
          if (docChanged && byReader) onChange?.(state.doc.toString());
        }),
      ],
    }),
  });
  root.append(view.dom, hint, lists);

  // Keys that type are not the page's shortcuts.
  element.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || !(event.ctrlKey || event.metaKey)) event.stopPropagation();
  });
  element.addEventListener("focusout", () => {
    queueMicrotask(() => {
      if (document.activeElement === element) return; // the reader is in another window
      view.setTabFocusMode(false);
      onLeave?.();
    });
  });

  const display = place.style.display;
  place.style.display = "none";
  place.after(element);
  view.requestMeasure();

  return {
    element,
    get code() {
      return view.state.doc.toString();
    },
    set code(text) {
      const insert = view.state.toText(text);
      if (insert.eq(view.state.doc)) return;
      const changes = { from: 0, to: view.state.doc.length, insert };
      view.dispatch({ changes, annotations: byProgram.of(true) });
    },
    focus() {
      view.focus();
    },
    destroy() {
      view.destroy();
      element.remove();
      place.style.display = display;
    },
  };
}
