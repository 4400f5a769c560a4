// nodemailer of npm as a worker: a job in JSON on each line of input, its price on a line of output.
"use strict";
const path = require("path");
const readline = require("readline");
const nodemailer = require(path.join(process.argv[2], "node_modules", "nodemailer"));

const envelope = { from: "alice@client.example", to: ["bob@server.example"] };
const header = "From: alice@client.example\r\nTo: bob@server.example\r\nSubject: benchmark\r\n\r\n";
const line = "the quick brown fox jumps over the lazy dog and goes home to sleep until noon".slice(0, 76);
const bodies = new Map();

function body(size) {
  if (!bodies.has(size)) {
    const lines = Math.max(1, Math.floor((size - header.length) / (line.length + 2)));
    bodies.set(size, Buffer.from(header + (line + "\r\n").repeat(lines)));
  }
  return bodies.get(size);
}

async function run(job) {
  const pool = nodemailer.createTransport({
    host: "127.0.0.1",
    port: job.port,
    secure: false,
    ignoreTLS: true,
    name: "client.example",
    pool: true,
    maxConnections: job.connections,
    maxMessages: job.reconnect ? 1 : Infinity,
  });
  const raw = body(job.size);
  let left = job.messages;
  async function turn() {
    while (left-- > 0) await pool.sendMail({ envelope, raw });
  }
  await Promise.all(Array.from({ length: job.connections }, turn));
  pool.close();
}

async function main() {
  for await (const text of readline.createInterface({ input: process.stdin })) {
    const job = JSON.parse(text);
    body(job.size);
    const cpu = process.cpuUsage();
    const start = process.hrtime.bigint();
    let answer;
    try {
      await run(job);
      const used = process.cpuUsage(cpu);
      const seconds = Number(process.hrtime.bigint() - start) / 1e9;
      answer = { seconds, cpu: (used.user + used.system) / 1e6 };
    } catch (error) {
      answer = { error: String(error) };
    }
    console.log(JSON.stringify(answer));
  }
}

main();
