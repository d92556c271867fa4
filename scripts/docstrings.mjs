/**
 * A rule for ESLint: an exported function says in a docstring what it computes. What TypeScript says already is not repeated there, so that
 * the rule asks for a text and for nothing else.
 */

/** @type {import('eslint').Rule.RuleModule} */
const functions = {
  meta: {
    type: 'suggestion',
    schema: [],
    messages: { missing: 'An exported function says in a docstring (/** … */) what it computes.' },
  },
  create: ({ sourceCode, report }) => ({
    'ExportNamedDeclaration > FunctionDeclaration'(/** @type {any} */ node) {
      const exported = node.parent;
      const comment = sourceCode.getCommentsBefore(exported).at(-1);
      const isOwn = comment?.type === 'Block' && comment.value.startsWith('*');
      if (!isOwn || comment.loc?.end.line !== exported.loc.start.line - 1)
        report({ node: node.id ?? node, messageId: 'missing' });
    },
  }),
};

export const docstringsPlugin = { rules: { functions } };
