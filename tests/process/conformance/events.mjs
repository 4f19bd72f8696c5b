// Follow a task by its event stream as an EventSource does: fields, data lines, a blank line dispatches.
const base = process.env.AIRFORCE_BASE_URL;
const headers = { Authorization: `Bearer ${process.env.AIRFORCE_API_KEY}` };
const body = JSON.stringify({ model: "wan-2.6", prompt: "a fox in snow", duration_seconds: 2 });
const made = await fetch(`${base}/video/generations`, { method: "POST", headers, body });
const { task_id } = await made.json();
const answer = await fetch(`${base}/video/tasks/${task_id}/stream`, { headers: { ...headers, Accept: "text/event-stream" } });
if (!answer.headers.get("content-type").startsWith("text/event-stream")) throw new Error("no event stream");

let buffered = "", type = "", data = [], last = {}, ended = false;
const seen = new Set();
for await (const chunk of answer.body.pipeThrough(new TextDecoderStream())) {
  buffered += chunk;
  const lines = buffered.split(/\r\n|\n|\r/);
  buffered = lines.pop();
  for (const line of lines) {
    if (line === "") {
      if (data.length && data.join("\n") === "[DONE]") ended = type === "done";
      else if (data.length) seen.add((last = JSON.parse(data.join("\n"))).status);
      [type, data] = ["", []];
    } else if (!line.startsWith(":")) {
      const [, field, value] = line.match(/^([^:]*):? ?(.*)$/);
      if (field === "event") type = value;
      else if (field === "data") data.push(value);
    }
  }
}
const task = await (await fetch(`${base}/video/tasks/${task_id}`, { headers })).json();
console.log([...seen].join(" "), last.progress, ended, task.result_url.startsWith("http"));
