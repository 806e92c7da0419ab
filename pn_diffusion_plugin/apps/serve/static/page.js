// Players side by side: one plays at a time, the next continues at the same time; a line runs through the chart.
(() => {
  "use strict";
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const takeOf = (element) => element.closest(".pn-take");
  const videos = () => all(".pn-take video");
  let last = null; // the video that played last

  function choose(take) {
    const number = take.dataset.take;
    all(".pn-take").forEach((one) => {
      const chosen = one === take;
      one.classList.toggle("pn-chosen", chosen);
      const button = one.querySelector(".pn-choose");
      if (button) button.setAttribute("aria-pressed", String(chosen));
    });
    all(".pn-about").forEach((one) => one.classList.toggle("pn-chosen", one.dataset.about === number));
  }

  function draw(video) {
    const chart = document.querySelector(`[data-about="${takeOf(video).dataset.take}"] .pn-chart`);
    if (!chart) return;
    const { left, right, seconds } = chart.dataset;
    const share = Math.min(video.currentTime / seconds, 1);
    const head = chart.querySelector(".pn-head");
    head.hidden = false;
    head.style.left = `${100 * (Number(left) + share * (right - left))}%`;
    if (!video.paused && video.isConnected) requestAnimationFrame(() => draw(video));
  }

  document.addEventListener("play", (event) => {
    const video = event.target;
    if (!(video instanceof HTMLVideoElement) || !takeOf(video)) return;
    if (last && last !== video && last.isConnected && !last.paused) video.currentTime = last.currentTime;
    videos().forEach((other) => { if (other !== video) other.pause(); });
    last = video;
    choose(takeOf(video));
    draw(video);
  }, true);

  document.addEventListener("seeked", (event) => {
    if (event.target instanceof HTMLVideoElement && takeOf(event.target)) draw(event.target);
  }, true);

  document.addEventListener("click", (event) => {
    const target = event.target;
    if (!(target instanceof Element)) return;
    if (target.closest("#make")) document.querySelector("#status").scrollIntoView({ block: "nearest" });
    if (target.closest(".pn-choose")) choose(takeOf(target));
    const copy = target.closest(".pn-copy");
    if (copy) {
      const code = copy.parentElement.querySelector("code");
      const range = document.createRange();
      range.selectNodeContents(code);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range); // where the clipboard is closed to pages, Ctrl-C does it
      if (navigator.clipboard) {
        navigator.clipboard.writeText(code.textContent).then(() => {
          copy.textContent = "Copied";
          setTimeout(() => { copy.textContent = "Copy"; }, 1500);
        }, () => {});
      }
    }
    const chart = target.closest(".pn-chart");
    if (chart) {
      const { left, right, seconds } = chart.dataset;
      const box = chart.getBoundingClientRect();
      const share = ((event.clientX - box.left) / box.width - left) / (right - left);
      const video = videos()[Number(chart.closest(".pn-about").dataset.about)];
      if (share >= 0 && share <= 1) video.currentTime = share * seconds;
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !/^[1-4]$/.test(event.key)) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const video = videos()[Number(event.key) - 1];
    if (video && videos().length > 1) video.play();
  });
})();
