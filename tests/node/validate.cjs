// Validates the AsyncAPI description of standard input, as a whole document and with every reference followed. Prints what is
// wrong with it, a line each. 0: nothing is, 1: something is.
const { readFileSync } = require('node:fs');
const { Parser } = require('@asyncapi/parser');

new Parser().validate(readFileSync(0, 'utf8')).then((found) => {
    for (const { code, path, message } of found) console.log(`${path.join('/')} ${code}: ${message}`);
    process.exitCode = found.length === 0 ? 0 : 1;
});
