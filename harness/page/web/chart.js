/* Moving charts on canvas: one axis of time, three panels, what happened marked over all of them. */
"use strict";

const Chart = (() => {
  const LEFT = 46, RIGHT = 8, MARKS = 20;
  const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3]];

  function colours() {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(`--${name}`).trim();
  }

  function niceCeiling(value) {
    if (value <= 0) { return 1; }
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 2.5, 5, 10].map((each) => each * power).find((each) => each >= value);
  }

  function hatch(context, colour, kind) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const inner = tile.getContext("2d");
    inner.strokeStyle = inner.fillStyle = colour;
    inner.lineWidth = 1.4;
    if (kind === 0) { inner.fillRect(0, 0, 6, 6); }
    if (kind === 1 || kind === 3) { inner.moveTo(0, 6); inner.lineTo(6, 0); inner.stroke(); }
    if (kind === 2 || kind === 3) { inner.moveTo(0, 0); inner.lineTo(6, 6); inner.stroke(); }
    if (kind === 4) { inner.fillRect(0, 0, 2, 2); inner.fillRect(3, 3, 2, 2); }
    return context.createPattern(tile, "repeat");
  }

  class Panel {
    constructor(parent, { title, height }) {
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      caption.textContent = title;
      this.canvas = document.createElement("canvas");
      this.canvas.setAttribute("role", "img");
      this.canvas.style.height = `${height}px`;
      this.height = height;
      figure.append(caption, this.canvas);
      parent.append(figure);
    }

    begin(from, to, top) {
      const ratio = window.devicePixelRatio || 1;
      const width = this.canvas.clientWidth;
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(this.height * ratio);
      const context = this.context = this.canvas.getContext("2d");
      context.scale(ratio, ratio);
      this.colour = colours();
      this.width = width;
      this.top = niceCeiling(top);
      this.x = (at) => LEFT + (width - LEFT - RIGHT) * (at - from) / (to - from);
      const tall = this.height - MARKS - 18;
      this.y = (value) => MARKS + tall * (1 - Math.min(value, this.top) / this.top);
      this.from = from;
      this.to = to;
      this.base = MARKS + tall;
      this.axes();
    }

    axes() {
      const { context, colour } = this;
      context.font = "11px system-ui, sans-serif";
      context.fillStyle = colour("quiet");
      context.strokeStyle = colour("line");
      context.lineWidth = 1;
      context.textAlign = "right";
      for (const share of [0, 0.5, 1]) {
        const y = Math.round(this.y(this.top * share)) + 0.5;
        context.beginPath(); context.moveTo(LEFT, y); context.lineTo(this.width - RIGHT, y);
        context.stroke();
        context.fillText((+(this.top * share).toPrecision(3)).toLocaleString("en"), LEFT - 6, y + 4);
      }
      const wanted = Math.max(2, Math.floor(this.width / 110));
      const span = this.to - this.from;
      const step = [5, 10, 15, 30, 60, 120, 300].find((each) => span / each <= wanted) || 600;
      context.textAlign = "center";
      for (let at = Math.ceil(this.from / step) * step; at <= this.to; at += step) {
        if (this.x(at) < LEFT + 16 || this.x(at) > this.width - 26) { continue; }
        context.fillText(new Date(at * 1000).toLocaleTimeString([], { hour12: false }),
          this.x(at), this.height - 4);
      }
    }

    shade(spans) {
      this.context.fillStyle = this.colour("fault");
      for (const [from, to] of spans) {
        const left = Math.max(LEFT, this.x(from)), right = Math.min(this.width - RIGHT, this.x(to));
        if (right > left) { this.context.fillRect(left, MARKS, right - left, this.base - MARKS); }
      }
    }

    area(points, value, colour) {
      const { context } = this;
      context.fillStyle = this.colour(colour);
      context.beginPath();
      if (points.length) { context.moveTo(this.x(points[0].at + 0.5), this.base); }
      for (const point of points) { context.lineTo(this.x(point.at + 0.5), this.y(value(point))); }
      if (points.length) { context.lineTo(this.x(points[points.length - 1].at + 0.5), this.base); }
      context.fill();
    }

    line(points, value, colour, dash) {
      const { context } = this;
      context.strokeStyle = this.colour(colour);
      context.lineWidth = 1.8;
      context.setLineDash(DASHES[dash]);
      context.beginPath();
      let isDrawing = false;
      for (const point of points) {
        const found = value(point);
        if (found === null) { isDrawing = false; continue; }
        context[isDrawing ? "lineTo" : "moveTo"](this.x(point.at + 0.5), this.y(found));
        isDrawing = true;
      }
      context.stroke();
      context.setLineDash([]);
    }

    stacks(points, kinds) {
      const { context } = this;
      const wide = Math.max(1.5, this.x(this.from + 1) - this.x(this.from) - 1);
      const fills = kinds.map((_, index) => hatch(context, this.colour(`s${index}`), index));
      for (const point of points) {
        let below = 0;
        kinds.forEach((kind, index) => {
          const count = kind.of(point);
          if (!count) { return; }
          const low = this.y(below), high = this.y(below + count);
          context.fillStyle = fills[index];
          context.fillRect(this.x(point.at + 0.5) - wide / 2, high, wide, Math.max(1, low - high));
          if (wide > 4) {
            context.strokeStyle = this.colour(`s${index}`);
            context.strokeRect(this.x(point.at + 0.5) - wide / 2, high, wide, Math.max(1, low - high));
          }
          below += count;
        });
      }
    }

    marks(marks, { isNumbered }) {
      const { context } = this;
      let last = -Infinity;
      for (const mark of marks) {
        const x = this.x(mark.at);
        if (x < LEFT || x > this.width - RIGHT) { continue; }
        context.strokeStyle = this.colour(mark.isFault ? "bad" : "quiet");
        context.lineWidth = mark.isFault ? 1.8 : 1;
        context.setLineDash(mark.isFault ? [] : [3, 3]);
        context.beginPath(); context.moveTo(x, MARKS - 2); context.lineTo(x, this.base);
        context.stroke();
        context.setLineDash([]);
        if (isNumbered && x - last > 17) {
          context.font = "bold 11px system-ui, sans-serif";
          context.textAlign = "center";
          context.fillStyle = this.colour(mark.isFault ? "bad" : "ink");
          context.fillText(String(mark.number), x, MARKS - 6);
          last = x;
        }
      }
    }

    say(text) { this.canvas.setAttribute("aria-label", text); }
  }

  function swatch(index, isLine) {
    const canvas = document.createElement("canvas");
    canvas.width = 52; canvas.height = 28;
    canvas.setAttribute("aria-hidden", "true");
    const context = canvas.getContext("2d"), colour = colours();
    context.scale(2, 2);
    if (isLine) {
      context.strokeStyle = colour(isLine.colour); context.lineWidth = 2;
      context.setLineDash(DASHES[isLine.dash]);
      context.beginPath(); context.moveTo(1, 7); context.lineTo(25, 7); context.stroke();
    } else {
      context.fillStyle = hatch(context, colour(`s${index}`), index);
      context.fillRect(1, 1, 24, 12);
      context.strokeStyle = colour(`s${index}`);
      context.strokeRect(1, 1, 24, 12);
    }
    return canvas;
  }

  return { Panel, swatch };
})();
