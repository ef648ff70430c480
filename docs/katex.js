// Renders the formulas that arithmatex marks; without a network they stay readable as TeX.
document$.subscribe(({ body }) => {
  if (window.renderMathInElement) {
    renderMathInElement(body, {
      delimiters: [
        { left: "\\(", right: "\\)", display: false },
        { left: "\\[", right: "\\]", display: true },
      ],
    });
  }
});
