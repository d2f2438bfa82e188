// SPDX-License-Identifier: MIT
// A collector: @fluent-org/logger's FluentServer, as it is. fluent_server.js '{"listen":.., "tls":.., "security":..}' DIR
// ("tls": "key", "cert" and "ca" are files; "options" are node's for TLS)
//
// Prints "port N" when it listens ("port 0" at a path), then takes what comes until it is ended. What arrives is kept
// twice: DIR/raw.PID.N has the bytes of connection N, after TLS, to be decoded by somebody who knows 64 bits;
// DIR/entries.PID a line of JSON for each entry that the server puts out, with its numbers as JavaScript has them.
"use strict";
const fs = require("fs");
const { FluentServer } = require(process.env.VMT_NODE_MODULES + "/@fluent-org/logger");

const [configuration, dir] = [JSON.parse(process.argv[2]), process.argv[3]];
const read = file => fs.readFileSync(file);
const tls = configuration.tls && {
  key: read(configuration.tls.key),
  cert: read(configuration.tls.cert),
  ca: configuration.tls.ca && read(configuration.tls.ca),
  requestCert: Boolean(configuration.tls.ca),
  ...configuration.tls.options,
};
const server = new FluentServer({
  listenOptions: configuration.listen || { host: "127.0.0.1", port: 0 },
  tlsOptions: tls,
  security: configuration.security,
});

let connections = 0;
server.server.prependListener(tls ? "secureConnection" : "connection", socket => {
  const raw = fs.openSync(`${dir}/raw.${process.pid}.${connections++}`, "w");
  const push = socket.push;
  socket.push = function (data, encoding) {
    if (data) fs.writeSync(raw, data);
    return push.call(this, data, encoding);
  };
  socket.on("close", () => fs.closeSync(raw));
  socket.on("error", () => {});
});

const entries = fs.openSync(`${dir}/entries.${process.pid}`, "w");
server.on("entry", (tag, time, record) => fs.writeSync(entries, JSON.stringify({ tag, time, record }) + "\n"));
server.listen().then(() => console.log("port " + (server.port || 0)));
