// Small pieces of a page. Texts only become text nodes: nothing that came from outside is read as HTML.

/** An element with attributes (`on..` are listeners) and children. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

/** A button that puts a text on the clipboard, and says so. */
export function copyButton(text, words = 'Copy') {
  const button = element('button', { type: 'button', class: 'small' }, words);
  button.addEventListener('click', async () => {
    const done = await copy(typeof text === 'function' ? text() : text);
    button.textContent = done ? 'Copied' : 'Select it and copy by hand';
    tell(done ? 'Copied' : 'It could not be copied');
    setTimeout(() => { button.textContent = words; }, 2500);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages that came by plain HTTP have no clipboard.
    const area = element('textarea', { class: 'visually-hidden', readonly: true });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** Says something to who listens to the page. */
export function tell(words) {
  const news = document.getElementById('news');
  if (news) news.textContent = words;
}

/** Puts a copy button below each command on the page. */
export function addCopyButtons() {
  for (const command of document.querySelectorAll('.curl pre')) {
    command.after(copyButton(command.textContent));
  }
}

/** JSON as a file for the reader to keep. */
export function download(name, value) {
  save(name, new Blob([JSON.stringify(value, null, 2) + '\n'], { type: 'application/json' }));
}

/** A file for the reader to keep. */
export function save(name, file) {
  const link = element('a', { href: URL.createObjectURL(file), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Seconds as minutes and seconds. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** A time in the reader's own form. */
export function moment(milliseconds) {
  return new Date(milliseconds).toLocaleString();
}

/** An amount of satoshi. */
export function sats(amount) {
  return `${Number(amount).toLocaleString('en')} sat`;
}
