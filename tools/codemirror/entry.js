// What book/_ext/page_python/static/python/editor.js uses of CodeMirror, and nothing else.
export {
  acceptCompletion,
  autocompletion,
  closeCompletion,
  completionKeymap,
  currentCompletions,
  setSelectedCompletion,
} from "@codemirror/autocomplete";
export {
  history,
  historyKeymap,
  indentLess,
  indentMore,
  standardKeymap,
  toggleComment,
} from "@codemirror/commands";
export { pythonLanguage } from "@codemirror/lang-python";
export { bracketMatching, indentOnInput, indentUnit, syntaxTree } from "@codemirror/language";
export { Annotation, EditorState, Prec, RangeSetBuilder } from "@codemirror/state";
export { Decoration, EditorView, highlightSpecialChars, keymap, tooltips, ViewPlugin } from "@codemirror/view";
