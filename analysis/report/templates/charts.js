for (const figure of document.querySelectorAll("figure.chart")) {
  const plot = figure.querySelector(".plot");
  const spec = JSON.parse(figure.querySelector("script").textContent);
  // Expressions are interpreted, never compiled: the page's policy allows no other script.
  const options = { ast: true, renderer: "svg", actions: false, tooltip: { theme: "custom" } };
  vegaEmbed(plot, spec, options).then(
    () => { plot.dataset.drawn = "yes"; },
    (error) => { plot.textContent = "This chart could not be drawn: " + error; },
  );
}
