"use strict";(self.rspackChunktorch_tutorial=self.rspackChunktorch_tutorial||[]).push([[700],{646(e,t,r){var o=r(601),a=r.n(o),n=r(314),i=(r.n(n))()(a());i.push([e.id,`/* The colours are the theme's. */

/* ---- side by side */

.tutorial-SideBySide {
  container-type: inline-size;
  overflow: auto;
  min-height: 280px; /* in Notebook 7 it would get none */
  background: var(--jp-layout-color0);
  color: var(--jp-content-font-color1);
}

.tutorial-pairs {
  display: grid;
  grid-template-columns: fit-content(40%) minmax(0, 1fr);
}

.tutorial-pairs [role="row"] {
  display: grid;
  grid-template-columns: subgrid;
  grid-column: 1 / -1;
  border-bottom: 1px solid var(--jp-border-color2);
}

.tutorial-pairs [role="row"] > * {
  padding: 4px 12px;
  border-left: 3px solid transparent;
}

.tutorial-pairs [role="columnheader"] {
  font-weight: 600;
}

.tutorial-pairs pre {
  margin: 0;
  overflow-x: auto;
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
  line-height: var(--jp-code-line-height);
}

.tutorial-pairs [role="row"]:is(:hover, :focus) > [role="cell"] {
  background: var(--jp-layout-color2);
  border-left-color: var(--jp-brand-color1);
}

.tutorial-pairs [role="row"]:focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: -2px;
}

@container (max-width: 40em) {
  .tutorial-pairs {
    grid-template-columns: minmax(0, 1fr);
  }
}

/* ---- lessons: a card has room for what stands on it, and keeps its lines */

.jp-LauncherCard:has([data-icon="tutorial:lesson"]) {
  width: 22em;
}

.jp-LauncherCard:has([data-icon="tutorial:lesson"]) .jp-LauncherCard-label {
  height: auto;
}

.jp-LauncherCard:has([data-icon="tutorial:lesson"]) p {
  display: block;
  max-height: none;
  padding: 0 12px 12px;
  text-align: start;
  white-space: pre-line;
}

.jp-LauncherCard:has([data-icon="tutorial:lesson"]) p::first-line {
  font-weight: 600;
}

.tutorial-LessonChoice {
  overflow: auto;
}

.tutorial-LessonChoice label {
  display: block;
  padding: 6px 0;
}

.tutorial-LessonChoice input[type="radio"] {
  appearance: auto; /* dialogs style every input as a line of text */
  width: auto;
  height: auto;
  vertical-align: baseline;
}

.tutorial-LessonChoice ul {
  margin: 4px 0 0;
}
`,""]),r.d(t,{},{A:i})},314(e){e.exports=function(e){var t=[];return t.toString=function(){return this.map(function(t){var r="",o=void 0!==t[5];return t[4]&&(r+="@supports (".concat(t[4],") {")),t[2]&&(r+="@media ".concat(t[2]," {")),o&&(r+="@layer".concat(t[5].length>0?" ".concat(t[5]):""," {")),r+=e(t),o&&(r+="}"),t[2]&&(r+="}"),t[4]&&(r+="}"),r}).join("")},t.i=function(e,r,o,a,n){"string"==typeof e&&(e=[[null,e,void 0]]);var i={};if(o)for(var s=0;s<this.length;s++){var l=this[s][0];null!=l&&(i[l]=!0)}for(var c=0;c<e.length;c++){var u=[].concat(e[c]);o&&i[u[0]]||(void 0!==n&&(void 0===u[5]||(u[1]="@layer".concat(u[5].length>0?" ".concat(u[5]):""," {").concat(u[1],"}")),u[5]=n),r&&(u[2]&&(u[1]="@media ".concat(u[2]," {").concat(u[1],"}")),u[2]=r),a&&(u[4]?(u[1]="@supports (".concat(u[4],") {").concat(u[1],"}"),u[4]=a):u[4]="".concat(a)),t.push(u))}},t}},601(e){e.exports=function(e){return e[1]}},72(e){var t=[];function r(e){for(var r=-1,o=0;o<t.length;o++)if(t[o].identifier===e){r=o;break}return r}function o(e,o){for(var a={},n=[],i=0;i<e.length;i++){var s=e[i],l=o.base?s[0]+o.base:s[0],c=a[l]||0,u="".concat(l," ").concat(c);a[l]=c+1;var p=r(u),d={css:s[1],media:s[2],sourceMap:s[3],supports:s[4],layer:s[5]};if(-1!==p)t[p].references++,t[p].updater(d);else{var f=function(e,t){var r=t.domAPI(t);return r.update(e),function(t){t?(t.css!==e.css||t.media!==e.media||t.sourceMap!==e.sourceMap||t.supports!==e.supports||t.layer!==e.layer)&&r.update(e=t):r.remove()}}(d,o);o.byIndex=i,t.splice(i,0,{identifier:u,updater:f,references:1})}n.push(u)}return n}e.exports=function(e,a){var n=o(e=e||[],a=a||{});return function(e){e=e||[];for(var i=0;i<n.length;i++){var s=r(n[i]);t[s].references--}for(var l=o(e,a),c=0;c<n.length;c++){var u=r(n[c]);0===t[u].references&&(t[u].updater(),t.splice(u,1))}n=l}}},659(e){var t={};e.exports=function(e,r){var o=function(e){if(void 0===t[e]){var r=document.querySelector(e);if(window.HTMLIFrameElement&&r instanceof window.HTMLIFrameElement)try{r=r.contentDocument.head}catch(e){r=null}t[e]=r}return t[e]}(e);if(!o)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");o.appendChild(r)}},540(e){e.exports=function(e){var t=document.createElement("style");return e.setAttributes(t,e.attributes),e.insert(t,e.options),t}},56(e,t,r){e.exports=function(e){var t=r.nc;t&&e.setAttribute("nonce",t)}},825(e){e.exports=function(e){if("u"<typeof document)return{update:function(){},remove:function(){}};var t=e.insertStyleElement(e);return{update:function(r){var o,a,n;o="",r.supports&&(o+="@supports (".concat(r.supports,") {")),r.media&&(o+="@media ".concat(r.media," {")),(a=void 0!==r.layer)&&(o+="@layer".concat(r.layer.length>0?" ".concat(r.layer):""," {")),o+=r.css,a&&(o+="}"),r.media&&(o+="}"),r.supports&&(o+="}"),(n=r.sourceMap)&&"u">typeof btoa&&(o+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(n))))," */")),e.styleTagTransform(o,t,e.options)},remove:function(){var e;null===(e=t).parentNode||e.parentNode.removeChild(e)}}}},113(e){e.exports=function(e,t){if(t.styleSheet)t.styleSheet.cssText=e;else{for(;t.firstChild;)t.removeChild(t.firstChild);t.appendChild(document.createTextNode(e))}}},959(e,t,r){var o=r(72),a=r.n(o),n=r(825),i=r.n(n),s=r(659),l=r.n(s),c=r(56),u=r.n(c),p=r(540),d=r.n(p),f=r(113),h=r.n(f),m=r(646),v={};v.styleTagTransform=h(),v.setAttributes=u(),v.insert=l().bind(null,"head"),v.domAPI=i(),v.insertStyleElement=d(),a()(m.A,v),m.A&&m.A.locals&&m.A.locals}}]);