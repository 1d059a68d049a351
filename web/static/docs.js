// Turns the list into forms that ask the server. The key is sent as a header, and kept nowhere.
"use strict";

const SHOWN = 100000; // characters of an answer: more makes a browser slow, and a replay may have no end
const asking = new WeakMap(); // what each form asks at this moment

function reveal(element) {
  element.hidden = false;
}

function address(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("input")) {
    const text = input.value.trim();
    if (input.dataset.in === "path") {
      path = path.replace(`{${input.name}}`, encodeURIComponent(text));
    } else if (text !== "") {
      const several = "many" in input.dataset ? text.split(",") : [text];
      several.forEach((one) => query.append(input.name, one.trim()));
    }
  }
  const rest = query.toString();
  return rest === "" ? path : `${path}?${rest}`;
}

// Shows an answer while it comes in, and stops it where enough is shown.
async function show(answer, shown) {
  const kind = answer.headers.get("Content-Type");
  shown.textContent = `${answer.status} ${answer.statusText} ${kind}\n\n`;
  if (answer.body === null) {
    return;
  }
  if (!/text|json/.test(kind)) {
    await answer.body.cancel();
    shown.append("(not text: ask for it with a program)");
    return;
  }
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let left = SHOWN;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    shown.append(part.value.slice(0, left));
    left -= part.value.length;
    if (left < 0) {
      await reader.cancel();
      shown.append(`\n... (more than ${SHOWN} characters: stopped here)`);
      return;
    }
  }
}

async function ask(form) {
  const url = address(form);
  const shown = form.querySelector("pre");
  const key = document.querySelector("#key input").value.trim();
  const stop = new AbortController();
  asking.get(form)?.abort();
  asking.set(form, stop);
  form.querySelector("p code").textContent = `GET ${url}`;
  shown.textContent = "...";
  reveal(shown);
  try {
    const headers = key === "" ? {} : { Authorization: `Bearer ${key}` };
    await show(await fetch(url, { headers, signal: stop.signal }), shown);
  } catch (error) {
    if (!stop.signal.aborted) {
      shown.append(`\n${error}`);
    }
  }
}

for (const hidden of document.querySelectorAll("#key, form p, th[hidden], td[hidden]")) {
  reveal(hidden);
}
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(form);
  });
}
