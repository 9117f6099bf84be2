// From the form's fields to the request that is sent, and back: which field is at fault.

/** The form of a service. */
export class OrderForm {
  constructor(form, service) {
    Object.assign(this, { form, service });
    this.fields = [...form.querySelectorAll('[data-pointer]')];
    for (const field of this.fields) this.#count(field);
  }

  /** What is asked for, as it will be sent. Throws where a text isn't JSON. */
  order() {
    const nothing = { body: null, query: null, contentType: null };
    const { takes, contentType } = this.service;
    if (takes === 'nothing' || (takes === 'query' && this.fields.length === 0)) return nothing;
    if (takes === 'text') return { ...nothing, contentType, body: this.fields[0].value };
    const wanted = {};
    const isLeft = (field) => field.type === 'hidden' && !field.dataset.required;
    for (const field of this.fields.filter((one) => !isLeft(one))) {
      if (field.dataset.pointer === '') {
        if (field.dataset.kind === 'json') JSON.parse(field.value);
        return { ...nothing, contentType, body: field.value };
      }
      const value = this.#value(field);
      if (value !== undefined) put(wanted, field.dataset.pointer, value);
    }
    // A constant of a group that may be left out goes with the others of its group.
    for (const field of this.fields.filter(isLeft)) {
      const group = field.dataset.pointer.split('/').slice(0, -1);
      if (group.length > 0 && at(wanted, group)) put(wanted, field.dataset.pointer, this.#value(field));
    }
    if (takes !== 'query') return { ...nothing, contentType, body: JSON.stringify(wanted) };
    const texts = Object.entries(wanted).map(([name, value]) => [name, String(value)]);
    return { ...nothing, query: new URLSearchParams(texts).toString() };
  }

  /** What is in the fields, to be shown to people. */
  summary() {
    return this.fields.filter((field) => field.type !== 'hidden').map((field) => {
      const label = this.#label(field);
      if (field.type === 'checkbox') return [label, field.checked ? 'Yes' : 'No'];
      if (field.tagName === 'SELECT') return [label, field.selectedOptions[0]?.textContent ?? ''];
      return [label, field.value];
    }).filter(([, value]) => value !== '' && value !== '–');
  }

  /** Puts the texts of a query, or pairs of name and text, into the fields. */
  fill(query) {
    for (const [name, value] of new URLSearchParams(query)) {
      const field = this.fields.find((one) => one.dataset.pointer === name);
      if (field && field.type !== 'hidden') field.value = value;
    }
  }

  /** Puts what was asked for before into the fields, as far as it fits. */
  restore({ query, body }) {
    if (query !== null) return this.fill(query);
    try {
      const texts = Object.entries(JSON.parse(body)).filter(([, value]) => ['string', 'number'].includes(typeof value));
      this.fill(texts.map(([name, value]) => [name, String(value)]));
    } catch {
      // It is no JSON: it is typed anew.
    }
    for (const field of this.fields) field.dispatchEvent(new Event('input', { bubbles: true }));
  }

  /** Shows what is wrong: beside the fields that were touched, or beside all. Says where the first fault is. */
  show(errors, onlyTouched = false) {
    let first;
    const left = [];
    for (const field of this.fields) {
      const fault = errors.find((error) => error.field === field.dataset.pointer);
      const shown = fault && !(onlyTouched && !field.dataset.touched);
      this.#mark(field, shown ? words(fault) : '');
      if (shown) first ??= field;
    }
    for (const error of errors) {
      if (!this.fields.some((field) => field.dataset.pointer === error.field)) left.push(error);
    }
    return { first, left };
  }

  /** Takes all marks away. */
  clear() {
    for (const field of this.fields) this.#mark(field, '');
  }

  #mark(field, text) {
    const place = document.getElementById(`${field.id}-error`);
    if (place) place.textContent = text;
    if (text) field.setAttribute('aria-invalid', 'true');
    else field.removeAttribute('aria-invalid');
  }

  #value(field) {
    const { kind } = field.dataset;
    if (kind === 'boolean') return field.checked;
    if (field.value === '') return field.required && kind === 'string' ? '' : undefined;
    if (kind === 'json') return this.service.takes === 'query' ? text(field.value) : JSON.parse(field.value);
    if (kind === 'number') return number(field.value.trim());
    return field.value;
  }

  #label(field) {
    const label = field.labels?.[0];
    return label ? label.childNodes[field.type === 'checkbox' ? 1 : 0].textContent.trim() : field.dataset.pointer;
  }

  /** How many characters are left, as the schema counts them. */
  #count(field) {
    const most = Number(field.dataset.most);
    if (!most) return;
    const place = document.createElement('p');
    place.className = 'count';
    place.id = `${field.id}-count`;
    field.after(place);
    field.setAttribute('aria-describedby', `${place.id} ${field.getAttribute('aria-describedby')}`);
    const show = () => {
      const over = [...field.value].length - most;
      place.textContent = over > 0 ? `${over} too many` : `${-over} characters left`;
    };
    field.addEventListener('input', show);
    show();
  }
}

/** A number, where it can be read in one way only; else the text, of which the gate says what is wrong. */
function number(text) {
  // A comma before three digits may stand for thousands.
  const isClear = /^-?\d+([.,]\d+)?$/.test(text) && !/,\d{3}$/.test(text);
  const value = Number(text.replace(',', '.'));
  const isExact = Math.abs(value) <= Number.MAX_SAFE_INTEGER;
  return isClear && isExact ? value : text;
}

/** A constant of a query is a text. */
function text(json) {
  const value = JSON.parse(json);
  return typeof value === 'string' ? value : json;
}

/** What is at these names, if all of them are there. */
function at(object, names) {
  return names.reduce((inner, name) => inner?.[unescaped(name)], object);
}

function unescaped(name) {
  return name.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** Puts a value at a JSON pointer (without its first slash). */
function put(object, pointer, value) {
  const names = pointer.split('/').map(unescaped);
  const last = names.pop();
  let inner = object;
  for (const name of names) inner = inner[name] ??= {};
  inner[last] = value;
}

/** What would be right, as a sentence. */
function words({ rule, expected }) {
  if (rule === 'required' || (rule === 'minLength' && expected === 'at least 1 character')) return 'This is needed.';
  return `This should be ${expected}.`;
}
