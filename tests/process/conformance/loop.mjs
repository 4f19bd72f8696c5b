// Create a task, poll it, take its result_url. Plain Node, no packages.
const base = process.env.AIRFORCE_BASE_URL;
const headers = { Authorization: `Bearer ${process.env.AIRFORCE_API_KEY}`, "Content-Type": "application/json" };

async function call(path, options = {}) {
  const answer = await fetch(base + path, { headers, ...options });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.json();
}

const body = JSON.stringify({ model: "wan-2.6", prompt: "a fox in snow", duration_seconds: 2 });
const { task_id } = await call("/video/generations", { method: "POST", body });
let task;
do {
  await new Promise((wake) => setTimeout(wake, 200));
  task = await call(`/video/tasks/${task_id}`);
} while (!["completed", "failed", "expired"].includes(task.status));
if (task.status !== "completed") throw new Error(task.error ?? task.status);
const clip = Buffer.from(await (await fetch(task.result_url)).arrayBuffer());
console.log(clip.subarray(4, 8).toString(), task.status);
