/* Cards for words of the vocabulary. Without this script they are plain links. Nothing is fetched, and all text is set
   as text, so that no definition can become markup. */
(() => {
  "use strict";

  const OPEN_AFTER = 250; // milliseconds that a pointer has to rest on a word
  const CLOSE_AFTER = 200; // milliseconds in which it can move from the word to the card
  const GAP = 8; // pixels between card, word and edges

  let card, owner, timer, touched;

  const termAt = (target) => (target instanceof Element ? target.closest("a.term[data-term-definition]") : null);

  function part(tag, css) {
    const element = document.createElement(tag);
    element.className = css;
    card.append(element);
    return element;
  }

  function build() {
    card = document.createElement("div");
    card.id = "term-card";
    card.className = "term-card md-typeset";
    card.setAttribute("role", "tooltip");
    card.hidden = true;
    card.parts = {
      label: part("p", "term-card-label"),
      context: part("p", "term-card-context"),
      definition: part("p", "term-card-definition"),
      more: part("a", "term-card-more"),
    };
    card.parts.more.textContent = "In the vocabulary";
    card.parts.more.tabIndex = -1; // the word itself is the same link
    card.addEventListener("pointerenter", () => clearTimeout(timer));
    card.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && later(hide, CLOSE_AFTER));
    document.body.append(card);
  }

  function later(deed, milliseconds) {
    clearTimeout(timer);
    timer = setTimeout(deed, milliseconds);
  }

  function show(term, x) {
    clearTimeout(timer);
    if (owner === term) return;
    hide();
    if (!card || !card.isConnected) build();
    owner = term;
    card.parts.label.textContent = term.dataset.termLabel;
    card.parts.context.textContent = term.dataset.termContext || "";
    card.parts.context.hidden = !term.dataset.termContext;
    card.parts.definition.textContent = term.dataset.termDefinition;
    card.parts.more.href = term.href;
    card.hidden = false;
    place(term, x);
    term.setAttribute("aria-describedby", card.id);
  }

  /* Below the word if it fits there, else above; a word on two lines counts where the pointer is. */
  function place(term, x) {
    const boxes = [...term.getClientRects()];
    const box = boxes.find((each) => x >= each.left && x <= each.right) || boxes[0];
    const { clientWidth, clientHeight } = document.documentElement;
    const { width, height } = card.getBoundingClientRect();
    const left = Math.max(GAP, Math.min(box.left, clientWidth - width - GAP));
    const header = document.querySelector(".md-header");
    const ceiling = (header ? Math.max(0, header.getBoundingClientRect().bottom) : 0) + GAP;
    const above = box.top - height - GAP;
    const below = box.bottom + GAP;
    const top = below + height > clientHeight && above >= ceiling ? above : below;
    card.style.left = `${left + window.scrollX}px`;
    card.style.top = `${top + window.scrollY}px`;
  }

  function hide() {
    clearTimeout(timer);
    if (!owner) return;
    owner.removeAttribute("aria-describedby");
    card.hidden = true;
    owner = undefined;
  }

  document.addEventListener("pointerover", (event) => {
    const term = event.pointerType === "mouse" && termAt(event.target);
    if (!term) return;
    if (term === owner) clearTimeout(timer);
    else later(() => show(term, event.clientX), OPEN_AFTER);
  });

  document.addEventListener("pointerout", (event) => {
    const term = event.pointerType === "mouse" && termAt(event.target);
    if (term && !term.contains(event.relatedTarget)) later(hide, CLOSE_AFTER);
  });

  document.addEventListener("focusin", (event) => {
    const term = termAt(event.target);
    if (term && term.matches(":focus-visible")) show(term);
  });

  document.addEventListener("focusout", (event) => {
    if (owner && owner === termAt(event.target) && !card.contains(event.relatedTarget)) hide();
  });

  document.addEventListener("pointerdown", (event) => {
    touched = event.pointerType !== "mouse";
    if (owner && !card.contains(event.target) && termAt(event.target) !== owner) hide();
  });

  /* A finger cannot rest on a word: its first tap opens the card, and a link in there leads on. */
  document.addEventListener("click", (event) => {
    const term = termAt(event.target);
    if (!term || !touched || term === owner) return;
    event.preventDefault();
    show(term, event.clientX);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
    touched = false;
  });

  window.addEventListener("resize", hide);
  if (window.document$) window.document$.subscribe(hide); // the theme swapped the page
})();
