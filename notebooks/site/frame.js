// The end of a playground inside a frame, which belongs to the page around it.

const frame = window.frameElement;
const content = document.documentElement;

// The frame gets the height of its content.
new ResizeObserver(() => {
  frame.style.height = `${content.offsetHeight}px`;
}).observe(content);

// What is pasted while the page has the focus goes to the playground.
parent.addEventListener("paste", ({ clipboardData }) => {
  dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
});
