// smtp-server of npm with the least of an application; says its port, ends with its input.
"use strict";
const path = require("path");
const { SMTPServer } = require(path.join(process.argv[2], "node_modules", "smtp-server"));

const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ["AUTH", "STARTTLS"],
  disableReverseLookup: true,
  logger: false,
  onData(stream, session, callback) {
    stream.on("data", () => {});
    stream.on("end", callback);
  },
});
server.on("error", () => {});
server.listen(0, "127.0.0.1", () => console.log("port " + server.server.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
