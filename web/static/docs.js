// Turns the list into forms that ask the server. The key is sent as a header, and kept nowhere.
"use strict";

const SHOWN = 100000; // characters of an answer: more makes a browser slow

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

async function ask(form) {
  const url = address(form);
  const shown = form.querySelector("pre");
  const key = document.querySelector("#key input").value.trim();
  form.querySelector("p code").textContent = `GET ${url}`;
  shown.textContent = "...";
  reveal(shown);
  try {
    const answer = await fetch(url, { headers: key === "" ? {} : { Authorization: `Bearer ${key}` } });
    const text = await answer.text();
    const cut = text.length > SHOWN ? `${text.slice(0, SHOWN)}\n... (${text.length} characters)` : text;
    shown.textContent = `${answer.status} ${answer.statusText} ${answer.headers.get("Content-Type")}\n\n${cut}`;
  } catch (error) {
    shown.textContent = String(error);
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
