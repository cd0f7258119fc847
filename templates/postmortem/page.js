"use strict";
(() => {
  let loading = null;
  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  const load = () => {
    loading = loading || (async () => {
      const script = document.createElement("script");
      script.textContent = await unpack(document.getElementById("plotly-bundle").textContent);
      document.head.append(script);
      return window.Plotly;
    })();
    return loading;
  };
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const draw = async (figure) => {
    const status = figure.querySelector("[role=status]");
    const button = figure.querySelector(".tools button");
    status.textContent = "Drawing…";
    try {
      const plotly = await load();
      const value = JSON.parse(await unpack(figure.querySelector(".packed").textContent));
      const place = document.createElement("div");
      place.className = "live";
      figure.querySelector(".still").after(place);
      const axis = { gridcolor: colour("--hair"), zerolinecolor: colour("--control") };
      const layout = Object.assign({}, value.layout, {
        autosize: true, height: 420, paper_bgcolor: colour("--page"),
        plot_bgcolor: colour("--page"), font: { color: colour("--ink"), size: 13 },
        colorway: ["--s1", "--s2", "--s3", "--s4"].map(colour),
      });
      for (const key of Object.keys(layout)) {
        if (/^[xy]axis\d*$/.test(key)) layout[key] = Object.assign({}, axis, layout[key]);
      }
      // Nothing leaves this page: no upload, no image or data export through plotly's own bar.
      await plotly.newPlot(place, value.data, layout, {
        responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "",
        modeBarButtonsToRemove: ["toImage", "downloadJson", "sendChartToCloud"],
      });
      figure.classList.add("explored");
      status.textContent = "";
      button.textContent = "Show the still drawing";
    } catch (error) {
      status.textContent = "This browser cannot draw it; the data stand below.";
      button.hidden = true;
    }
  };
  for (const figure of document.querySelectorAll("figure[data-live]")) {
    const button = figure.querySelector(".tools button");
    button.hidden = false;
    button.addEventListener("click", () => {
      const live = figure.querySelector(".live");
      if (!live) return draw(figure);
      live.remove();
      figure.classList.remove("explored");
      button.textContent = "Explore";
    });
    if (figure.dataset.live === "only") {
      button.hidden = true;
      draw(figure);
    }
  }
})();
